#!/bin/sh
# A network that cuts, garbles, swallows and refuses between the agent and the control plane: downloads resume, attempts
# stay few, the reason is told at both ends, and all is well again by itself. The byte budget.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
. "$TEST_SRC/tests/e2e/badnet.sh"
test_need jq sqlite3

# Bytes that came down through the repository's middle so far, connections that stand not counted.
carried() { awk '{ sub("down=", "", $4); n += $4 } END { print n + 0 }' repo.conns; }
mark() { weather repo "${1:-pass}" && sleep 0.3 && carried; }
failures() { grep -c "agent.transfer " agent1.log; }
# heals RULE: an update that meets this weather fails to get on, says so, and is done once the weather is fair.
heals() {
	version=$((version + 1)) before=$(failures)
	weather repo "$1" && fleet_sign $version && fleet_rollout $version || return 1
	test_wait 40 more_failures || return 1
	status >out && test_json ".update.reason | contains(\"127.0.0.1:$(cat repo.port)\")" out || return 1
	weather repo pass && test_wait 60 outcome plc/$version healthy
}
more_failures() { test "$(failures)" -gt "$before"; }
# resumes RULE: a payload of 400000 bytes gets through weather that hits every connection after 250000 bytes.
resumes() {
	from=$(mark "$1") && offer 400000 && test_wait 60 outcome "big/$version" healthy && to=$(mark) &&
		echo "$1: $((to - from))" &&
		cmp payload dev1/agent/artifacts/plant/big/current/big && test $((to - from)) -lt "$2"
}
test_expect 'a site, and a device whose ways lead through two bad middles' '
	fleet_site && fleet_serve && middle api "$FLEET_DEVICE" && middle repo "$FLEET_REPO" && fleet_enroll 1 &&
	detour "$(cat api.port)" "$(cat repo.port)" && test_start agent1 meshanics agent run --home dev1 && test_wait 20 status &&
	fleet_sign 0 && fleet_rollout 0 && test_wait 30 outcome plc/0 healthy
'
test_expect 'cut in the middle of a payload: it goes on from there' 'resumes "cut 250000" 440000'
test_expect 'reset in the middle of a payload' 'resumes "reset 250000" 900000'
test_expect 'a changed byte in the middle of a payload is not taken' 'resumes "flip 250000" 600000'
test_expect 'bytes that come twice' 'resumes "repeat 250000" 600000'
test_expect 'cut in the greeting' 'heals "cut 40"'
test_expect 'cut when the greeting is almost over' 'heals "cut 900"'
test_expect 'cut in what the device says' 'heals "upcut 300"'
test_expect 'a changed byte in the greeting' 'heals "flip 60"'
test_expect 'reset at once' 'heals rst'
test_expect 'a TLS alert' 'heals alert && grep "agent.transfer .*TLS:.*alert\|agent.transfer .*handshake_failure" agent1.log'
test_expect 'an answer that is no TLS, for long: no word of the fleet, few attempts, and the control plane hears of it' '
	: >repo.conns && weather repo garbage && version=$((version + 1)) && fleet_sign $version && fleet_rollout $version &&
	test_wait 60 told "plc/$version" downloading "127.0.0.1:$(cat repo.port)" && test "$(grep -c "^garbage" repo.conns)" -le 8 &&
	test "$(grep -c "^garbage" repo.conns)" -ge 5 && status >out && test_json ".update.next_try != null and .last_error == \"\"" out &&
	weather repo pass && test_wait 60 outcome plc/$version healthy
'
test_expect 'the way to the device API is cut: it is said why, attempts are few, and heartbeats come back' '
	: >api.conns && weather api rst && test_wait 20 grep "agent.talk.*why=.*127.0.0.1:$(cat api.port)" agent1.log &&
	sleep 5 && status >out && test_json "(.last_error | contains(\"127.0.0.1\")) and .next_try != null" out &&
	test "$(grep -c "^rst" api.conns)" -le 12 && weather api pass && test_wait 90 grep "agent.talk.*back=true" agent1.log &&
	status >out && test_json ".last_error == \"\"" out
'
test_expect 'refused connections on both ways' '
	port=$(cat api.port) && test_stop api KILL; test_wait 60 grep "agent.talk.*Connection refused" agent1.log &&
	test_alive agent1 && test_start api "$badnet" middle api.port api.rule api.conns "$FLEET_DEVICE" &&
	test_wait 10 test "$(cat api.port)" = "$port" &&
	test_wait 120 content
'
test_expect 'no more than a few MB and descriptors after all of it' '
	worker=$(status | jq .worker_pid) && test "$(ls /proc/$worker/fd | wc -l)" -le 12 &&
	test "$(ls /proc/$(cat agent1.pid)/fd | wc -l)" -le 24 && test "$(ls /proc/$worker/task | wc -l)" -le 3
'
test_expect 'a byte budget: used up, said at both ends, and not a byte more' '
	test_stop agent1 && head -c 2500000 /dev/urandom >payload && from=$(mark) &&
	test_start agent1 meshanics agent run --home dev1 --download-budget 1M --download-window 1h &&
	meshanics sign payload --home hq --namespace plant --name big --version budget &&
	meshanics rollout create plant/big/budget --home hq --all --waves 100 &&
	test_wait 30 grep "agent.update.*budget of 1048576 bytes per 1h used up; goes on at 2" agent1.log &&
	test_wait 20 told big/budget downloading "used up" && used=$(($(mark) - from)) && echo "used $used" &&
	test "$used" -le 1048576 && test "$used" -ge 950000 && status >out &&
	test_json ".budget.bytes == 1048576 and .budget.used >= 950000 and (.update.reason | contains(\"used up\"))" out
'
test_expect 'a restart does not begin a new window' '
	test_crash agent1 && test_start agent1 meshanics agent run --home dev1 --download-budget 1M --download-window 1h &&
	test_wait 20 grep "agent.update.*used up" agent1.log && sleep 1 && test $(($(mark) - from)) -eq "$used"
'
test_expect 'windows that come: it goes on exactly where it stopped, to the end' '
	test_stop agent1 &&
	test_start agent1 env MESHANICS_DOWNLOAD_WINDOW=5s meshanics agent run --home dev1 --download-budget 1M &&
	test_wait 60 outcome big/budget healthy && cmp payload dev1/agent/artifacts/plant/big/current/big &&
	all=$(($(mark) - from)) && echo "all $all" && test $all -lt 2650000 && test "$(grep -c "agent.update.*used up" agent1.log)" -ge 1
'
test_expect 'a window without a budget is a mistake' '
	test_status 2 meshanics agent run --home dev1 --download-window 1h 2>err && grep "without --download-budget" err
'
test_expect 'a rate slows a payload down' '
	test_stop agent1 && test_start agent1 meshanics agent run --home dev1 --download-rate 100K && test_wait 20 status &&
	head -c 400000 /dev/urandom >payload && began=$(date +%s) &&
	meshanics sign payload --home hq --namespace plant --name big --version slow &&
	meshanics rollout create plant/big/slow --home hq --all --waves 100 &&
	test_wait 40 outcome big/slow healthy && test $(($(date +%s) - began)) -ge 3
'
test_expect 'all of it ends cleanly' 'test_stop agent1 && test_stop serve'
test_done

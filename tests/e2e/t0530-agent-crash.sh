#!/bin/sh
# kill -9 of the supervisor, of its worker and of serve at odd moments: the update ends healthy, once, and is told once.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq sqlite3

rounds=20
status() { meshanics agent status --home dev1 --json; }
# The n-th pause: spread over the whole of an update, not twice the same.
pause() { sleep "$(awk "BEGIN { print (($1 * 37) % 100) * 0.006 }")"; }
whole() {
	cat dev1/agent/artifacts/plant/plc/current/plc 2>/dev/null >seen && { cmp -s seen one || cmp -s seen two; }
}
told() { test "$(rows "SELECT count(*) FROM reports")" = 0; }
rows() { sqlite3 -readonly dev1/agent/state.db "$1"; }

test_expect 'a site, a device, a version that runs' '
	fleet_site && fleet_serve && fleet_device 1 && head -c 9000000 /dev/urandom >one && head -c 9000000 /dev/urandom >two &&
	meshanics sign one --home hq --namespace plant --name plc --version 1 && fleet_rollout 1 &&
	test_wait 30 fleet_state 1 completed && cmp one dev1/agent/artifacts/plant/plc/current/plc
'
test_expect 'kill -9 of supervisor or worker, twenty times during one update: the file is old or new at every look' '
	echo up >life && meshanics sign two --home hq --namespace plant --name plc --version 2 --probe-file "$TEST_DIR/life" \
		--probe-delay 1 && fleet_rollout 2 || return 1
	i=0
	while [ $i -lt $rounds ]; do
		i=$((i + 1))
		pause $i
		if [ $((i % 3)) -eq 0 ]; then
			worker=$(status | jq .worker_pid) && [ "$worker" -gt 1 ] && kill -9 "$worker"
			whole || return 1
			continue
		fi
		test_crash agent1
		whole || return 1
		cat agent1.log >>all.log
		test_start agent1 meshanics agent run --home dev1
	done
	test_wait 40 fleet_state 2 completed && cmp two dev1/agent/artifacts/plant/plc/current/plc
'
test_expect 'it was healthy exactly once, and so it stands in every book' '
	test_wait 10 status && cat agent1.log >>all.log && test "$(grep -c "agent.update.*state=healthy.*plant/plc/2 " all.log)" -le 1 &&
	test "$(sqlite3 hq/control/meshanics.db "SELECT count(*) FROM transitions WHERE artifact = '\''plant/plc/2'\'' AND state = '\''healthy'\''")" = 1 &&
	test "$(rows "SELECT count(*) FROM installed")" = 1 &&
	test "$(rows "SELECT version || previous || older FROM installed")" = 21 &&
	test "$(rows "SELECT count(*) FROM updates WHERE state = 5 AND path = '\''plant/plc/2'\''")" = 1 &&
	test "$(ls dev1/agent/artifacts/plant/plc | tr "\n" " ")" = "1 2 current " &&
	test -z "$(ls -A dev1/agent/work)" && test -z "$(ls -d dev1/agent/artifacts/.incoming-* 2>/dev/null)"
'
test_expect 'serve that dies while the update runs loses no report' '
	fleet_sign 3 --probe-file "$TEST_DIR/life" --probe-delay 3 && fleet_rollout 3 &&
	test_wait 20 grep "state=probing.*plant/plc/3" agent1.log && test_crash serve &&
	test_wait 20 grep "state=healthy.*plant/plc/3" agent1.log && test "$(rows "SELECT count(*) FROM reports")" -ge 1 &&
	fleet_serve && test_wait 40 fleet_state 3 completed && test_wait 10 told
'
test_expect 'an agent killed while the probe runs asks again, and goes back when it fails then' '
	: >death && fleet_sign 4 --probe-file "$TEST_DIR/death" --probe-delay 2 --probe-attempts 2 && fleet_rollout 4 &&
	test_wait 20 fleet_current 1 "plc 4" && test_crash agent1 &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 30 grep "state=rolled_back.*plant/plc/4" agent1.log &&
	fleet_current 1 "plc 3" && test "$(rows "SELECT version || previous FROM installed")" = 32
'
test_expect 'a copy that has gone when it is to be applied: failed, with the old version in place' '
	fleet_sign 5 && fleet_rollout 5 && test_wait 20 grep "state=healthy.*plant/plc/5" agent1.log && test_stop agent1 &&
	sqlite3 dev1/agent/state.db "INSERT INTO updates (assignment, path, state, since_s, reason, length, sha256, url, descriptor)
		SELECT 9999, '\''plant/plc/6'\'', 3, since_s, '\'''\'', length, randomblob(32), url, descriptor FROM updates WHERE path = '\''plant/plc/5'\''" &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 20 grep "state=failed.*plant/plc/6" agent1.log &&
	fleet_current 1 "plc 5" && test "$(rows "SELECT version FROM installed")" = 5
'
test_expect 'all of it ends cleanly' 'test_stop agent1 && test_stop serve'
test_done

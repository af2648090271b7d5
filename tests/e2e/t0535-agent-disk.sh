#!/bin/sh
# A device whose disk is full, at every stage: the old version runs, the reason is told with its numbers, and when there
# is room again the update goes on by itself.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need_root
test_need jq sqlite3

status() { meshanics agent status --home dev1 --json >now.json; }
holds() { status && jq -e "$1" now.json; }
why() { status && jq -r .update.reason now.json | grep "$1"; }
low() { holds ".disk.low == $1"; }
# The reason of the newest rollout's only device, as the control plane knows it.
told() { meshanics rollout show "$1" --home hq --json --devices | jq -r '.assignments[0].reason' | grep -q "$2"; }
free() { df -k --output=avail dev1 | tail -n 1; }
# All but $1 KiB of the device's disk, for somebody else.
fill() {
	truncate -s 0 dev1/filler
	head -c $(($(free) * 1024 - $1 * 1024)) /dev/zero >>dev1/filler
	[ "$1" -gt 0 ] || while head -c 4096 /dev/zero >>dev1/filler; do :; done 2>/dev/null
	return 0
}
unfill() { rm -f dev1/filler; }
payload() { head -c 6000000 /dev/urandom >"plc-$1"; }
publish() {
	payload "$1"
	version=$1
	shift
	meshanics sign "plc-$version" --home hq --namespace plant --name plc --version "$version" "$@" &&
		fleet_rollout "$version"
}
runs() { cmp "plc-$1" dev1/agent/artifacts/plant/plc/current/plc; }
clean() { test -z "$(ls -A dev1/agent/work)" && test -z "$(find dev1/agent/artifacts -name ".incoming*")"; }
certificate() { jq -r .certificate dev1/agent/identity.json; }
renewed() { test "$(certificate)" != "$1"; }
heard() { holds ".last_answer != null and .last_error == \"\""; }
part() { test -s "$(echo dev1/agent/work/*.part)"; }
# Somebody fills the disk and keeps it full, so that the reserve gives nothing: its blocks go behind the agent's back.
starve() { unfill && fallocate -p -l 4194304 dev1/agent/reserve && fill 0; }
agent() { test_start agent1 meshanics agent run --home dev1; }

test_expect 'enrolment on a full disk is refused with the numbers before the token is used' '
	fleet_site && fleet_serve && test_disk dev1 40m && fill 1000 &&
	meshanics enroll token create --home hq --root signed/root.json --name-prefix press --out token1 &&
	test_status 4 meshanics agent enroll --home dev1 --token-file token1 2>err &&
	grep "needs 4194304 bytes in .*/dev1/agent. and 8388608 that stay free, [0-9]* are free" err && grep "make room" err &&
	test ! -e dev1/agent/device-enrolling.key && unfill && meshanics agent enroll --home dev1 --token-file token1
'
test_expect 'the device has its reserve, and a version that runs' '
	test "$(stat -c %s dev1/agent/reserve)" = 4194304 && test "$(stat -c %b dev1/agent/reserve)" = 8192 && agent &&
	publish 1 && test_wait 30 fleet_state 1 completed && runs 1 && low false
'
test_expect 'too little room for an update: it waits, says so here and there, and has fetched nothing' '
	fill 15000 && publish 2 && test_wait 30 why "waits for room.*needs 12[0-9]* bytes in .*agent. and 8388608" &&
	test_wait 30 told 2 "waits for room on the disk: needs 12[0-9]* bytes" && test -z "$(ls -A dev1/agent/work)" &&
	runs 1 && fleet_state 2 running && holds ".update.state == \"downloading\""
'
test_expect 'told once, however often it looked; also after a restart' '
	test_stop agent1 && agent && test_wait 30 why "waits for room" && sleep 4 &&
	test "$(sqlite3 hq/control/meshanics.db "SELECT count(*) FROM transitions WHERE artifact = '\''plant/plc/2'\''")" = 2
'
test_expect 'room again: it goes on by itself, and tells that, too' '
	unfill && test_wait 60 fleet_state 2 completed && runs 2 && clean &&
	grep "there is room on the disk again" agent1.log
'
test_expect 'a disk that somebody fills during the download: the room was taken, the update ends healthy on a full disk' '
	echo 400000 >rate && test_start slow "$TEST_SRC/tests/e2e/slow.pl" "$FLEET_REPO" rate port && test_wait 10 test -s port &&
	test_stop agent1 && sed -i "s|:$FLEET_REPO|:$(cat port)|" dev1/agent/identity.json && agent && publish 3 &&
	test_wait 30 part && fill 0 &&
	echo 40000000 >rate && test_wait 60 fleet_state 3 completed && runs 3 && clean &&
	test "$(sed -n "/plc\/3.*offered/,/plc\/3.*healthy/p" agent1.log | grep -c "agent.disk.*whole=false")" = 1
'
test_expect 'low is said in agent status, and is over with the filler' '
	fill 0 && low true && meshanics agent status --home dev1 | grep "^disk.*low: [0-9]* bytes free" && unfill && test_wait 30 low false &&
	test "$(stat -c %b dev1/agent/reserve)" = 8192
'
test_expect 'the room for the copy is taken away: it waits, and copies when there is some' '
	echo 400000 >rate && publish 4 && test_wait 30 part && truncate -s 1 dev1/agent/artifacts/.incoming-* &&
	truncate -s 0 dev1/agent/artifacts/.incoming-* && fill 0 && echo 40000000 >rate &&
	test_wait 60 why "waits for room" && grep "why=\"no room for the copy" agent1.log && runs 3 && unfill &&
	test_wait 60 fleet_state 4 completed && runs 4 && clean
'
test_expect 'no room at all, not even in the reserve: no step is made that cannot be written down, and the agent stays' '
	test_stop agent1 && agent && echo 400000 >rate && test_wait 30 low false && publish 5 --probe-file "$TEST_DIR/life" --probe-delay 4 &&
	test_wait 30 part && starve && echo 40000000 >rate && test_wait 60 why "waits for room on the disk, to write down that it is verifying" &&
	runs 4 && holds ".update.state == \"downloading\"" && unfill && test_wait 60 grep "state=probing.*plant/plc/5" agent1.log
'
test_expect 'nor when the probes have passed: healthy once, when there is room' '
	starve && echo alive >life && test_wait 60 why "waits for room on the disk, to write down that it is healthy" && low true && runs 5 &&
	unfill && test_wait 60 fleet_state 5 completed && test "$(grep -c "state=healthy.*plant/plc/5" agent1.log)" = 1 && clean
'
test_expect 'an agent starts, answers and reports on a full disk' '
	test_wait 30 low false && test_stop agent1 && fill 0 && test "$(free)" -lt 8 && agent && test_wait 30 heard && low true
'
test_expect 'a certificate is renewed on a full disk' '
	test_stop agent1 && unfill && agent && test_wait 30 low false && test_stop agent1 &&
	sed -i "s/\(.renew_at.: .\)20../\12025/" dev1/agent/identity.json && fill 0 && old=$(certificate) &&
	agent && test_wait 30 renewed "$old" && test_wait 10 heard && test "$(free)" -lt 300
'
test_expect 'all of it ends cleanly' 'test_stop agent1 && test_stop serve'
test_done

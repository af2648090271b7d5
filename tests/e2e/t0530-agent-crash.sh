#!/bin/sh
# kill -9 of the supervisor, of its worker and of both at random moments of many updates over a slow way, and of serve:
# at every look the file is old or new, every update ends once and is told once, and nothing is left over.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq sqlite3

soak_rounds=''	# set by what is read here
. "$TEST_SRC/tests/e2e/soak.sh"

status() { meshanics agent status --home dev1 --json >now.json; }
rows() { sqlite3 -readonly dev1/agent/state.db "$1"; }
books() { sqlite3 -readonly hq/control/meshanics.db "$1"; }
told() { test "$(rows "SELECT count(*) FROM reports")" = 0; }
clean() {
	test -z "$(ls -A dev1/agent/work)" && test -z "$(find dev1/agent -name "*.tmp*" -o -name ".incoming-*")"
}

# Versions 1 to `good` have been healthy, or rolled back; `trying` is under way. Every fourth has a probe that fails.
good=0 trying=0 before='' rollbacks=0
bad() { test $(($1 % 4)) -eq 3; }
next() {
	trying=$((trying + 1))
	head -c 300000 /dev/urandom >"plc-$trying"
	probe=life
	bad $trying && probe=death
	meshanics sign "plc-$trying" --home hq --namespace plant --name plc --version $trying --probe-file "$TEST_DIR/$probe" \
		--probe-delay 0 --probe-attempts 1 && fleet_rollout $trying
}
whole() {
	cat dev1/agent/artifacts/plant/plc/current/plc >seen && { cmp -s seen "plc-$good" || cmp -s seen "plc-$trying"; }
}
# What the control plane heard: the steps of one path through agent/state.h, each but the first two once, the end last.
path_is() {
	books "SELECT group_concat(state) FROM (SELECT state FROM transitions WHERE artifact = 'plant/plc/$trying'
		ORDER BY seq)" | tee path | grep -Ex "downloading(,downloading|,verifying)*,applying,probing,$1"
}
# The update under way is over: is it so in every book?
judge() {
	if bad $trying; then
		path_is rolled_back && test "$(fleet_outcome)" = halted || return 1
		rollbacks=$((rollbacks + 1))
	else
		path_is healthy && test "$(fleet_outcome)" = completed || return 1
		before=$good good=$trying
		test "$before" -gt 0 || before=
	fi
	test "$(rows "SELECT version || ' ' || previous || older FROM installed")" = "$good $before" &&
		cmp "plc-$good" dev1/agent/artifacts/plant/plc/current/plc
}
fleet_outcome() { meshanics rollout show $trying --home hq --json | jq -r .state; }
over() { fleet_outcome | grep -qx "completed\|halted"; }
strike() {
	case $1 in
	worker) pid=$(jq .worker_pid now.json) && { [ "$pid" -le 1 ] || kill -KILL "$pid" || :; } ;;	# 0: there is none
	supervisor) test_crash agent1 ;;
	both) pid=$(cat agent1.pid) && kill -KILL "-$pid" && test_crash agent1 ;;
	esac
}
round() {
	if over; then
		judge && next || return 1
	fi
	sleep "$1"
	[ "$2" != worker ] || test_wait 30 status || return 1
	strike "$2" && whole || return 1
	[ "$2" = worker ] || test_start agent1 meshanics agent run --home dev1
}

test_expect 'a site, a device at the end of a slow way, a version that runs' '
	fleet_site && fleet_serve && fleet_enroll 1 && echo 600000 >rate && echo up >life && : >death &&
	test_start slow "$TEST_SRC/tests/e2e/slow.pl" "$FLEET_REPO" rate port && test_wait 10 test -s port &&
	sed -i "s|:$FLEET_REPO|:$(cat port)|" dev1/agent/identity.json &&
	test_start agent1 meshanics agent run --home dev1 && next && test_wait 30 over && judge && next
'
test_expect "kill -9 of supervisor, worker or both, $soak_rounds times: old or new at every look, every update ends once" '
	soak_plan 0.9 supervisor worker both >plan && done=0 &&
	while read -r pause kind <&4; do
		round "$pause" "$kind" || { soak_say "round $done: $pause $kind, version $trying"; return 1; }
		done=$((done + 1))
	done 4<plan &&
	test $done -eq "$soak_rounds" && test_wait 60 over && judge && soak_say "$done kills, $trying updates, $rollbacks rolled back"
'
test_expect 'nothing is left over, and all is told' '
	test_wait 20 told && test_wait 10 clean && test "$(ls dev1/agent/artifacts/plant/plc | wc -l)" -le 3 &&
	test "$(rows "SELECT count(*) FROM updates WHERE state BETWEEN 1 AND 4")" = 0
'
test_expect 'serve that dies while the update runs loses no report' '
	fleet_sign 1001 --probe-file "$TEST_DIR/life" --probe-delay 3 && fleet_rollout 1001 &&
	test_wait 20 grep "state=probing.*plant/plc/1001" agent1.log && test_crash serve &&
	test_wait 20 grep "state=healthy.*plant/plc/1001" agent1.log && test "$(rows "SELECT count(*) FROM reports")" -ge 1 &&
	fleet_serve && test_wait 40 fleet_state $((trying + 1)) completed && test_wait 10 told
'
test_expect 'an agent killed while the probe runs asks again, and goes back when it fails then' '
	fleet_sign 1002 --probe-file "$TEST_DIR/death" --probe-delay 2 --probe-attempts 2 && fleet_rollout 1002 &&
	test_wait 20 fleet_current 1 "plc 1002" && test_crash agent1 &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 30 grep "state=rolled_back.*plant/plc/1002" agent1.log &&
	fleet_current 1 "plc 1001" && test "$(rows "SELECT version || previous FROM installed")" = "1001$good"
'
test_expect 'a copy that has gone when it is to be applied: failed, with the old version in place' '
	fleet_sign 1003 && fleet_rollout 1003 && test_wait 20 grep "state=healthy.*plant/plc/1003" agent1.log && test_stop agent1 &&
	sqlite3 dev1/agent/state.db "INSERT INTO updates (assignment, path, state, since_s, reason, length, sha256, url, descriptor)
		SELECT 9999, '\''plant/plc/1004'\'', 3, since_s, '\'''\'', length, randomblob(32), url, descriptor FROM updates WHERE path = '\''plant/plc/1003'\''" &&
	: >dev1/agent/identity.json.tmp.0123abcd &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 20 grep "state=failed.*plant/plc/1004" agent1.log && clean &&
	fleet_current 1 "plc 1003" && test "$(rows "SELECT version FROM installed")" = 1003
'
test_expect 'all of it ends cleanly' 'test_stop agent1 && test_stop serve'
test_done

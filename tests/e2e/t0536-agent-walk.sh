#!/bin/sh
# The true agent against the true serve, interrupted at the n-th change to its disk: enrolment, updates, downloads.
# Every k-th call; every one with WALK_ALL=1 or SOAK_ROUNDS set (lib/sys/fault.h). test_agent_walk walks more, faster.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq sqlite3

meshanics version --json >facts
grep -q '"test_build":true' facts || {
	test_skip 'interruptions at every call' 'not a test build'
	test_done
}
all=${WALK_ALL:-${SOAK_ROUNDS:-}}

# A sanitizer's report ends with the status of a power cut, but not without a word.
clean() { ! grep -E 'Sanitizer|runtime error|fault_cut' "$@"; }
rows() { sqlite3 -readonly dev1/agent/state.db "$1"; }
books() { sqlite3 -readonly hq/control/meshanics.db "$1"; }
told() { test "$(rows 'SELECT count(*) FROM reports')" = 0; }

test_expect 'a site that serves' 'fleet_site && fleet_serve'

# ---- updates ----

version=0
publish() {
	version=$((version + 1))
	head -c 700000 /dev/urandom >payload && cp payload "payload-$version" &&
		meshanics sign payload --home hq --namespace plant --name plc --version "$version" --probe-file "$TEST_DIR/life" &&
		meshanics rollout create "plant/plc/$version" --home hq --all --waves 100
}
whole() {
	cmp "payload-$version" dev1/agent/artifacts/plant/plc/current/plc 2>/dev/null ||
		cmp "payload-$((version - 1))" dev1/agent/artifacts/plant/plc/current/plc
}
over() { fleet_state "$version" completed || ! test_alive agent1; }
# In every book the same, once, in order.
in_order() {
	test "$(books "SELECT count(*) FROM transitions WHERE artifact = 'plant/plc/$version' AND state = 'healthy'")" = 1 &&
		test "$(books "SELECT count(*) FROM transitions WHERE artifact = 'plant/plc/$version' AND state = 'probing'")" = 1 &&
		test "$(books "SELECT max(seq) - count(DISTINCT seq) FROM transitions")" = 0 &&
		test "$(books "SELECT count(*) - count(DISTINCT seq) FROM transitions")" = 0 &&
		test "$(rows "SELECT version FROM installed")" = "$version" &&
		test "$(find dev1/agent/artifacts/plant/plc -mindepth 1 -maxdepth 1 | wc -l)" -le 3 &&
		test -z "$(ls -A dev1/agent/work)" && test -z "$(ls -d dev1/agent/artifacts/.incoming-* dev1/agent/*.tmp.* 2>/dev/null)"
}
# update_at VARIABLE N:MODE: the next version, with that fault; then the agent starts again, and it must come to its end.
update_at() {
	publish && test_start agent1 env "$1=$2" "$(command -v meshanics)" agent run --home dev1 || return 1
	test_wait 60 over && whole || return 1
	if test_alive agent1 2>/dev/null; then
		cut=
		test_stop agent1
	else
		wait "$(cat agent1.pid)"
		status=$?
		cut=yes
		test "$status" -eq 99 || return 1
	fi
	echo "$1=$2: ${cut:-no} cut"
	clean agent1.log && test_start agent1 meshanics agent run --home dev1 && test_wait 60 fleet_state "$version" completed &&
		test_wait 20 told && cmp "payload-$version" dev1/agent/artifacts/plant/plc/current/plc && in_order || return 1
	test_stop agent1 && clean agent1.log
}
# update_walk VARIABLE MODE FIRST STEP: until no call is left.
update_walk() {
	n=$3
	while update_at "$1" "$n:$2" || return 1; do
		[ -n "$cut" ] || break
		n=$((n + $4))
	done
	[ "$n" -gt "$3" ]
}

test_expect 'a device that runs version 1' '
	echo up >life && fleet_enroll 1 && publish && test_start agent1 meshanics agent run --home dev1 &&
	test_wait 60 fleet_state 1 completed && test_wait 20 told && test_stop agent1
'
test_expect 'an update and power cuts of the supervisor' '
	for mode in ${all:+cut cutzero} cutdir; do
		update_walk MESHANICS_FAULT $mode 11 "$([ -n "$all" ] && echo 1 || echo 29)" || return 1
	done
'
test_expect 'a download and power cuts of the worker' '
	for mode in ${all:+cut cutdir} cutzero; do
		update_walk MESHANICS_FAULT_WORKER $mode 1 "$([ -n "$all" ] && echo 1 || echo 13)" || return 1
	done
'
# ---- enrolment ----

token() { meshanics enroll token create --home hq --root signed/root.json --name-prefix press --out "$1"; }
# The agent runs with it: so the key is the certificate's, and there is no other when it has started.
identity_fits() {
	rm -f once.log
	test_start once meshanics agent run --home dev && test_wait 20 grep agent.ready once.log && test_stop once && clean once.log &&
		test "$(find dev/agent -maxdepth 1 -name "*.key" | wc -l)" = 1 && test -e "dev/agent/$(jq -r .key dev/agent/identity.json)" &&
		! ls dev/agent/*.tmp.* 2>/dev/null
}
# enroll_at N MODE: whatever happened, the next attempt ends with a whole identity; by turns with the same token.
enroll_at() {
	rm -rf dev token-a token-b && token token-a && token token-b || return 1
	MESHANICS_FAULT=$1:$2 meshanics agent enroll --home dev --token-file token-a >out 2>err
	status=$?
	clean err || return 1
	echo "call $1, $2: exit $status"
	if [ -e dev/agent/identity.json ]; then
		test_status 1 meshanics agent enroll --home dev --token-file token-b 2>err && grep 'enrolled already' err || return 1
	else
		[ "$status" -ne 0 ] || return 1
		[ $(($1 % 2)) -eq 0 ] && again=token-b || again=token-a
		meshanics agent enroll --home dev --token-file "$again" 2>err || return 1
	fi
	identity_fits
}
# enroll_errors MODE FIRST: the same calls, failing.
enroll_errors() {
	n=$2
	while [ "$n" -le "$calls" ]; do
		enroll_at "$n" "$1" || return 1
		n=$((n + step * 2))
	done
}
step=11
[ -z "$all" ] || step=1
# enroll_walk MODE FIRST: until a power cut finds no call left; calls: where that was.
enroll_walk() {
	n=$2
	while enroll_at "$n" "$1" || return 1; do
		[ "$status" -eq 99 ] || break
		n=$((n + step))
	done
	calls=$n
	[ "$calls" -gt 10 ]
}
test_expect 'enrolment and power cuts: a whole identity, or the next attempt makes one' '
	enroll_walk cut 1 && enroll_walk cutzero 4 && enroll_walk cutdir 7
'
test_expect 'enrolment and failing disks' '
	enroll_errors error 2 && enroll_errors torn 5 && enroll_errors rofs 8
'

test_expect 'all of it ends cleanly' 'test_stop serve && clean serve.log'
test_done

#!/bin/sh
# Stopped and killed while fifty devices report: every report that was answered is there afterwards, and once.
# SOAK_ROUNDS: how often (8).
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq sqlite3

rounds=${SOAK_ROUNDS:-8}
db=hq/control/meshanics.db
lines() { wc -l <answered.log; }
more() { test "$(lines)" -ge "$1"; }

# One end in the middle of it, and a new start. By turns: killed, stopped, killed soon after the start.
round() {
	case $(($1 % 3)) in
	0) sleep 0.3 && test_stop serve && grep "serve.stopped clean=true" serve.log ;;
	1) test_wait 60 more $(($(lines) + 100)) && test_crash serve ;;
	*) test_crash serve ;;
	esac && fleet_serve
}

test_expect 'fifty devices report' '
	test -x "$TEST_TOOLS/reporter" && fleet_site && fleet_serve && : >answered.log &&
	meshanics enroll token create --home hq --root signed/root.json --name-prefix press --uses 50 --out token &&
	test_start reporter "$TEST_TOOLS/reporter" fleet token signed/root.json 50 answered.log &&
	test_wait 120 grep -q ready reporter.log && test_wait 60 more 200
'
test_expect "serve ends $rounds times meanwhile" '
	n=0 && while [ $n -lt "$rounds" ]; do round $n || return 1; n=$((n + 1)); done
'
test_expect 'they all go on afterwards; none was told anything but to try again' '
	test_wait 60 more $(($(lines) + 200)) && test_stop reporter && tail -n 1 reporter.log >counts && cat counts &&
	test_json ".refused == 0 and .answered > 400 and .failed > 0 and .repeated > 0" counts && test_stop serve
'
test_expect 'what was answered is there' '
	sqlite3 $db "SELECT instance || \" \" || seq FROM transitions" | sort >there && sort answered.log >answered &&
	comm -13 there answered >lost && test ! -s lost && test "$(wc -l <answered)" = "$(jq .answered counts)"
'
test_expect 'and once, in the trail as well, which is whole' '
	test -z "$(sort answered | uniq -d)" &&
	sqlite3 $db "SELECT detail ->> \"\$.instance\" || \" \" || (detail ->> \"\$.seq\") FROM audit
		WHERE action = \"device.status\"" | sort >trail && cmp there trail &&
	meshanics audit list --home hq --json >/dev/null && sqlite3 $db "PRAGMA integrity_check" | grep -qx ok
'
test_done

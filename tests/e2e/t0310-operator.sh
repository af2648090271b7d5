#!/bin/sh
# Operators: added with a role, listed without secrets, revoked; the manual's table is the program's.
. "$(dirname "$0")/lib.sh"
MESHANICS_HOME=$TEST_DIR/home
export MESHANICS_HOME

test_expect 'operators need CAs, for their tokens pin one' '
	test_status 1 meshanics operator add --role viewer alice 2>err &&
	grep "meshanics ca init" err &&
	meshanics ca init >out
'

test_expect 'add prints the token once, alone on standard output' '
	meshanics operator add --role operator alice >token 2>err &&
	test "$(wc -l <token)" = 1 &&
	grep -q "^mop1[A-Za-z0-9_-]*$" token &&
	grep "not shown again" err
'

test_expect 'the token goes to a new private file where asked' '
	meshanics operator add --role viewer --expires 30d --out bob.token bob >out &&
	test ! -s out &&
	test "$(stat -c %a bob.token)" = 600 &&
	grep -q "^mop1" bob.token &&
	test_status 1 meshanics operator add --role viewer --out bob.token carol 2>err &&
	grep "exists already" err &&
	meshanics operator list >out &&
	! grep carol out
'

test_expect '--json with --out keeps the secret out of the document' '
	meshanics operator add --role admin --out dora.token --json dora >dora.json &&
	test_json ".name == \"dora\" and .role == \"admin\" and (has(\"token\") | not)" dora.json &&
	meshanics operator add --role approver --json erik >erik.json &&
	test_json ".token | startswith(\"mop1\")" erik.json
'

test_expect 'wrong names, roles and doubles are refused' '
	test_status 3 meshanics operator add --role viewer "Alice Liddell" &&
	test_status 2 meshanics operator add --role root frank 2>err &&
	grep "viewer, operator, approver, admin" err &&
	test_status 2 meshanics operator add frank &&
	test_status 2 meshanics operator add --role viewer &&
	test_status 1 meshanics operator add --role viewer alice 2>err &&
	grep "exists already" err &&
	grep "operator revoke alice" err
'

test_expect 'list shows roles and no secret' '
	meshanics operator list --json >list.json &&
	test_json "[.operators[].name] == [\"alice\",\"bob\",\"dora\",\"erik\"]" list.json &&
	test_json ".operators[1] | .role == \"viewer\" and .expires != null and .state == \"live\"" list.json &&
	! grep -i "mop1\|secret\|hash" list.json
'

test_expect 'a revoked one is out of the list, and the name is free' '
	meshanics operator revoke alice bob >out &&
	test "$(grep -c "is revoked" out)" = 2 &&
	meshanics operator list >out &&
	! grep "alice\|bob" out &&
	meshanics operator list --all >out &&
	grep "alice .*revoked" out &&
	meshanics operator add --role viewer alice >token &&
	test_status 1 meshanics operator revoke nobody 2>err &&
	grep "no operator .nobody" err
'

test_expect 'the audit trail has who and what, never the token' '
	meshanics audit list --json >audit.json &&
	grep -q "operator.add" audit.json &&
	grep -q "operator:bob" audit.json &&
	! grep "mop1" audit.json
'

test_done

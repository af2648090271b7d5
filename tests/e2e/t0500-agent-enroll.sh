#!/bin/sh
# agent enroll: whom it lets in, and everything that it refuses without leaving an identity behind.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq

token() { meshanics enroll token create --home hq --root signed/root.json --name-prefix press --out "$@"; }
# enrolled N: devN has an identity
enrolled() { test -s "dev$1/agent/identity.json"; }

test_expect 'a site that serves' 'fleet_site && fleet_serve'
test_expect 'a device joins: a private key of its own, an identity, no attempt left over' '
	token t1 && meshanics agent enroll --home dev1 --token-file t1 --json >out && test_json ".site == \"main\"" out &&
	enrolled 1 && test "$(stat -c %a dev1/agent/identity.json)" = 600 &&
	test "$(ls dev1/agent/*.key | wc -l)" = 1 && test "$(stat -c %a dev1/agent/*.key)" = 600 &&
	test ! -e dev1/agent/device-enrolling.key
'
test_expect 'twice is a conflict that says what to do, and changes nothing' '
	cp dev1/agent/identity.json before && token t1b &&
	test_status 1 meshanics agent enroll --home dev1 --token-file t1b 2>err && grep "enrolled already" err &&
	grep "^hint: " err && cmp before dev1/agent/identity.json
'
test_expect 'a used token is refused' '
	test_status 3 meshanics agent enroll --home dev2 --token-file t1 2>err && grep "used up" err && ! enrolled 2
'
test_expect 'an answer that was lost is given again: same token, same key' '
	token t3 && meshanics agent enroll --home dev3 --token-file t3 &&
	cp dev3/agent/device-*.key dev3/agent/device-enrolling.key && rm dev3/agent/identity.json &&
	meshanics agent enroll --home dev3 --token-file t3 && enrolled 3 &&
	test "$(ls dev3/agent/*.key | wc -l)" = 1
'
test_expect 'a token that others can read is refused before it travels' '
	token t4 && chmod 644 t4 && test_status 3 meshanics agent enroll --home dev4 --token-file t4 2>err &&
	grep "chmod 600" err && ! enrolled 4
'
test_expect 'a revoked token is refused' '
	id=$(token t5) && meshanics enroll token revoke "$id" --home hq &&
	test_status 3 meshanics agent enroll --home dev5 --token-file t5 2>err5 && grep -i revoked err5 && ! enrolled 5
'
test_expect 'nonsense and a token of another site are refused' '
	(umask 077 && echo mtk1AAAA >bad) && test_status 3 meshanics agent enroll --home dev6 --token-file bad && ! enrolled 6 &&
	mkdir other && (cd other && fleet_site) &&
	meshanics enroll token create --home other/hq --root other/signed/root.json --url "https://127.0.0.1:$FLEET_ENROLL" --out foreign &&
	test_status 3 meshanics agent enroll --home dev6 --token-file foreign 2>err && ! enrolled 6
'
test_expect 'another root than the token names is refused; the right one is taken' '
	token t7 && test_status 3 meshanics agent enroll --home dev7 --token-file t7 --root other/signed/root.json 2>err &&
	grep "root is not the one" err && ! enrolled 7 &&
	meshanics agent enroll --home dev7 --token-file t7 --root signed/root.json && enrolled 7
'
test_expect 'nobody at the other end: try again' '
	token t8 --url https://127.0.0.1:1 && test_status 4 meshanics agent enroll --home dev8 --token-file t8 && ! enrolled 8
'
test_expect 'without an identity the agent does not run, and says how to get one' '
	test_status 1 meshanics agent run --home dev8 2>err && grep "agent enroll" err &&
	test_status 4 meshanics agent status --home dev8
'
test_expect 'an order to leave that a power cut interrupted is carried out at the next start, as final' '
	mkdir -p dev3/agent/artifacts/plant && : >dev3/agent/wiping && test_status 86 meshanics agent run --home dev3 &&
	test -z "$(ls -A dev3/agent)"
'
test_expect 'serve ends cleanly' 'token t9 --expires 1h && test_stop serve'
if command -v faketime >/dev/null; then
	preload=$(test_preload)
	test_expect 'a token that has ended is refused' '
		rm ready && test_start late "$test_own_clock" env "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0" \
			LD_PRELOAD="$preload" FAKETIME=+2h meshanics serve --home hq --public-name 127.0.0.1 --ready-file ready \
			--api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 \
			--enroll-listen "127.0.0.1:$FLEET_ENROLL" && test_wait 30 test -s ready &&
		test_status 3 meshanics agent enroll --home dev9 --token-file t9 2>err && grep "ended at" err && ! enrolled 9
	'
else
	test_skip 'a token that has ended is refused' 'faketime is not installed'
fi
test_done

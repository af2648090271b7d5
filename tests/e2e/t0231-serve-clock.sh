#!/bin/sh
# serve under clocks that are wrong, at its start and while it runs; the devices' clocks are right.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/fleet.sh
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq faketime curl openssl
# shellcheck source=tests/e2e/clock.sh
. "$TEST_SRC/tests/e2e/clock.sh"
FLEET_START=clock_start

serve_at() { test_at "$1" meshanics serve --home hq --public-name 127.0.0.1 --api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0; }
timestamp() { jq ".signed.version" hq/repo/metadata/timestamp.json; }
presence() { meshanics device list --home hq --json | jq -e ".devices[0].presence == \"$1\"" >/dev/null; }
# metric LINE: it is among the metrics
metric() { curl -sS --unix-socket hq/control/control.sock http://localhost/metrics >metrics && grep -x "$1" metrics; }
over() { test "$(grep -c "serve.sign over=true" serve.log)" -ge "$1"; }
# cert_begins OP: the begin of the certificate that the server shows is -gt or -lt tomorrow
cert_begins() {
	openssl s_client -connect "127.0.0.1:$FLEET_API" </dev/null 2>/dev/null | openssl x509 -noout -startdate | sed "s/.*=//" >begins &&
		test "$(date -d "$(cat begins)" +%s)" "$1" $(($(date +%s) + 86400))
}

test_expect 'before its CA was made serve does not start, and says that it is the clock' '
	fleet_site &&
	test_status 4 serve_at "1970-01-02 00:00:00" 2>err && grep "the clock says 1970" err && grep "set the clock" err &&
	test_status 3 serve_at "2040-01-01 00:00:00" 2>err && grep "the clock says 2040" err && grep "set the clock" err
'
test_expect 'started 60 days ahead it serves, signs and issues nothing, and says what to do' '
	clock_set serve +0 && fleet_serve && timestamp >before &&
	meshanics enroll token create --home hq --root signed/root.json --name-prefix press --out token1 && test_stop serve &&
	clock_set serve +60d && fleet_serve && test_wait 20 grep "serve.sign kind=retry.*after the last signature.*--accept-clock --force" serve.log &&
	test_status 4 meshanics enroll token create --home hq --root signed/root.json --out token2 2>err &&
	grep "nothing is issued under this clock" err && grep -e "--accept-clock" err && test ! -e token2 &&
	test_status 4 meshanics operator add eve --role viewer --expires 1d --home hq --out eve.token && test ! -e eve.token &&
	test_status 4 meshanics agent enroll --home dev1 --token-file token1 2>err && grep "nothing is issued under this clock" err &&
	timestamp | cmp - before && metric "meshanics_signing_trouble 1"
'
test_expect 'with the clock right again it goes on by itself, and the token was not used up' '
	clock_set serve +0 && test_wait 30 over 1 && metric "meshanics_signing_trouble 0" && metric "meshanics_uptime_seconds [0-9]*" &&
	test "$(sed -n "s/^meshanics_uptime_seconds //p" metrics)" -lt 3600 && meshanics agent enroll --home dev1 --token-file token1 &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 20 presence online
'
test_expect 'a step to 2040 while it runs: nothing is signed, and nobody is seen then for ever' '
	clock_set serve "@2040-01-01 00:00:00" && test_wait 30 grep "serve.sign kind=retry.*the clock says 20[34]" serve.log && grep "serve.clock stepped_s=[0-9]* now=20[34]" serve.log &&
	test_wait 20 grep "serve.certificate kind=refused" serve.log && sleep 2 && test_alive serve &&
	test_stop agent1 && sleep 2 && clock_set serve +0 && test_wait 30 over 2 && test_wait 20 presence offline &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 20 presence online &&
	meshanics device show press-0001 --home hq --json | jq -e ".last_seen < \"2035\""
'
test_expect 'and when the half-life of the timestamp comes, it is signed' '
	timestamp >before && clock_set serve +14h && test_wait 30 grep "serve.signed.*timestamp=1" serve.log && ! timestamp | cmp -s - before
'
test_expect 'a server certificate from a day that has not come is replaced' '
	clock_set serve +40d && test_wait 20 cert_begins -gt && clock_set serve +14h && test_wait 20 cert_begins -lt && test_wait 30 over 3 &&
	clock_set serve +0 && test_wait 30 grep "serve.sign kind=retry.*before the last signature" serve.log &&
	meshanics repo refresh --accept-clock --force --home hq && test_wait 30 over 4
'
test_expect 'the audit trail is whole, and in the order in which things happened' '
	meshanics audit verify --home hq && meshanics audit list --home hq --limit 1000 --json >rows &&
	jq -es "map(.seq) | . == (sort | reverse)" rows
'
test_expect 'who vouches for a clock that is wrong is told of the way out when it is right' '
	fleet_sign 1.0 && clock_set serve +60d && meshanics repo refresh --accept-clock --force --home hq && fleet_rollout 1.0 && test_wait 60 fleet_current 1 "plc 1.0" && clock_set serve +0 &&
	test_wait 30 grep "serve.sign kind=retry.*is [56][0-9]d.* before the last signature" serve.log &&
	test_status 4 meshanics repo refresh --accept-clock --force --home hq 2>err && grep "more than a day ahead" err && grep "repo keys rotate" err
'
test_expect 'new online keys and a fresh publisher end it, for the box and for devices that had seen that time' '
	meshanics repo keys rotate --home hq --publisher "plant2:plant/*/*" -o next.json &&
	meshanics ceremony rotate --home off --root signed/root.json --targets signed/targets.json --online-keys next.json \
		--publisher plant2 --remove-publisher plant -o next.request &&
	digits=$(meshanics ceremony status next.request --home off --json | jq -r .request | cut -c 1-16) &&
	for who in root1 root2 targets1; do
		meshanics ceremony sign next.request --home off --key $who --fingerprint "$digits" -o next-$who.json || return 1
	done &&
	mkdir next && meshanics ceremony finish next.request next-root*.json next-targets1.json --home off -o next &&
	test_status 4 meshanics repo adopt --home hq next/root.json next/targets.json 2>err && grep -e "--accept-clock" err &&
	meshanics repo adopt --accept-clock --home hq next/root.json next/targets.json && test_wait 30 over 5 &&
	meshanics repo refresh --force --home hq && meshanics repo verify --home hq && fleet_sign 2.0 --release 3 && fleet_rollout 2.0 &&
	test_wait 60 fleet_current 1 "plc 2.0" && test "$(cat dev1/agent/trusted/floor)" -lt $(($(date +%s) + 60)) && test_wait 20 presence online
'
test_expect 'serve and agent end cleanly' 'test_stop agent1 && test_stop serve'
test_done

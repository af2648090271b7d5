#!/bin/sh
# A device API that answers nonsense, and proxies of every kind: heartbeats survive it, nothing is wiped, and it is said
# what to do.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
. "$TEST_SRC/tests/e2e/badnet.sh"
test_need jq sqlite3

# The bad server asks the good one with the device's first certificate: there is to be no other.
fair() { weather bad "/device/renew status 403
/ pass"; }
# Between two tries: while one is under way there is no next one.
waits() {
	status >out && test_json ".last_error != \"\" and .next_try != null" out
}
# mutters RULE WHY: heartbeats are answered so; the agent says it, stays, asks seldom, and comes back
mutters() {
	: >bad.log && weather bad "/device/heartbeat $1
/device/renew status 403" && test_wait 60 grep "agent.talk.*$2" agent1.log && sleep 1 && test_wait 10 waits && test "$(grep -c /device/heartbeat bad.log)" -le 8 &&
		fair && kill -HUP "$(cat agent1.pid)" && test_wait 60 content && : >agent1.log
}
heartbeats() { test "$(grep -c /device/heartbeat bad.log)" -ge 2; }

test_expect 'a site, and a device whose control plane is a bad one with a good certificate' '
	fleet_site && fleet_serve && fleet_enroll 1 && fair &&
	test_start bad "$badnet" server bad.port bad.rule bad.log hq dev1 "$FLEET_DEVICE" "$FLEET_REPO" &&
	test_wait 10 test -s bad.port && detour "$(cat bad.port)" "$FLEET_REPO" &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 20 status && offer 1000 && arrived 60
'
test_expect 'heartbeats that are refused: 401, 403, 404, 410, and the device stays what it is' '
	for code in 401 403 404 410; do
		mutters "status $code" "status=$code" || return 1
	done
	test -s dev1/agent/identity.json && test "$(ls dev1/agent/device-*.key | wc -l)" -ge 1
'
test_expect 'heartbeats that are answered with an absurd interval' '
	for interval in 0 1000000000 null; do
		mutters "json {\"interval_s\":$interval,\"desired\":[],\"orders\":[]}" "answer to heartbeat" || return 1
	done
'
test_expect 'heartbeats that are answered with half an answer, with none, and with far too much' '
	mutters "json {\"interval_s\":1}" "answer to heartbeat" && mutters "json no json" "answer to heartbeat" &&
	mutters huge "larger than"
'
for code in 405 500 503; do
	test_expect "a report that is answered $code holds up no heartbeat" '
		weather bad "/device/status status $code" && offer 1000 && arrived 60 && : >bad.log && test_wait 60 heartbeats &&
		test "$(grep -c /device/status bad.log)" -le 8 && test_alive agent1 && fair
	'
done
test_expect 'what was not heard is told when it can be; what was refused for good is not told for ever' '
	offer 1000 && test_wait 120 told big/$version healthy && test_wait 60 content && test_wait 20 told big/3 healthy &&
	! told big/2 healthy
'
test_expect 'a proxy: without its password it is said what to do, with a wrong one too; with the right one all is well' '
	test_stop agent1 && cat real >dev1/agent/identity.json && weather proxy "auth us:er:secret" &&
	test_start proxy "$badnet" proxy proxy.port proxy.rule proxy.log && test_wait 10 test -s proxy.port &&
	test_start agent1 meshanics agent run --home dev1 --proxy "http://127.0.0.1:$(cat proxy.port)" &&
	test_wait 20 grep "agent.talk.*proxy 127.0.0.1.*user and a password (407).*hint=.*http://user:password@host:port" agent1.log &&
	test_stop agent1 &&
	test_start agent1 meshanics agent run --home dev1 --proxy "http://us:wrong@127.0.0.1:$(cat proxy.port)" &&
	test_wait 20 grep "agent.talk.*does not take user .us. with this password" agent1.log && ! grep "wrong@" agent1.log &&
	test_stop agent1 &&
	test_start agent1 env MESHANICS_PROXY="http://us:er%3Asecret@127.0.0.1:$(cat proxy.port)" meshanics agent run --home dev1 &&
	test_wait 20 content && offer 1000 && arrived 60 && ! grep secret agent1.log
'
for sick in 'status 502' 'status 403' noise endless close alert 'cut 60'; do
	test_expect "a proxy that is sick: $sick" '
		: >agent1.log && weather proxy "$sick" && test_wait 60 grep "agent.talk.*why=" agent1.log && test_alive agent1 &&
		weather proxy pass && kill -HUP "$(cat agent1.pid)" && test_wait 60 content
	'
done
test_expect 'enrolment through a sick proxy fails in words, and is done when it is well' '
	rm -f token2 && meshanics enroll token create --home hq --root signed/root.json --name-prefix press --out token2 &&
	weather proxy "status 407" && test_status 3 meshanics agent enroll --home dev2 --token-file token2 \
		--proxy "http://127.0.0.1:$(cat proxy.port)" 2>err && grep "407" err && grep "http://user:password@host:port" err &&
	weather proxy noise && ! meshanics agent enroll --home dev2 --token-file token2 \
		--proxy "http://127.0.0.1:$(cat proxy.port)" 2>err && grep "proxy 127.0.0.1" err && weather proxy pass &&
	meshanics agent enroll --home dev2 --token-file token2 --proxy "http://127.0.0.1:$(cat proxy.port)"
'
test_expect 'all of it ends cleanly' 'test_stop agent1 && test_stop serve'
test_done

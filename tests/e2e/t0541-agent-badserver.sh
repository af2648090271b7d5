#!/bin/sh
# A server that has a good certificate and bad manners, and proxies of every kind: what is final is final, what may heal is
# waited for, nothing is wiped, heartbeats survive nonsense.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq sqlite3

badnet=$(dirname "$(command -v meshanics)")/tests/tools/badnet
status() { meshanics agent status --home dev1 --json; }
weather() { echo "$2" >"$1.rule.new" && mv "$1.rule.new" "$1.rule"; }
fair() { weather bad '/ pass'; }
outcome() { grep "agent.update.*state=$2 .*artifact=plant/$1 " agent1.log; }
failed_with() { test "$(grep "agent.transfer " agent1.log | tail -n +$((seen + 1)) | grep -c -- "$1")" -gt 0; }
content() { status >out && test_json ".last_error == \"\"" out; }
# offer: one more version of plant/big, 300000 bytes
version=0
offer() {
	version=$((version + 1)) seen=$(grep -c "agent.transfer " agent1.log) log=$(wc -l <bad.log)
	head -c 300000 /dev/urandom >payload && meshanics sign payload --home hq --namespace plant --name big --version $version &&
		meshanics rollout create plant/big/$version --home hq --all --waves 100
}
# waits RULE WHY: said, waited for, and done once the server is sane
waits() {
	weather bad "$1" && offer && test_wait 40 failed_with "$2" && test_alive agent1 && test -s dev1/agent/identity.json &&
		fair && test_wait 60 outcome big/$version healthy && cmp payload dev1/agent/artifacts/plant/big/current/big
}
# gives_up RULE WHY: tried four times, an alarm, failed, told; what ran runs on
gives_up() {
	cp dev1/agent/artifacts/plant/big/current/big ran && weather bad "$1" && offer && test_wait 60 outcome big/$version failed &&
		grep "agent.alarm.*plant/big/$version.*$2" agent1.log && cmp ran dev1/agent/artifacts/plant/big/current/big &&
		test "$(tail -n +$((seen + 1)) agent1.log | grep -c "agent.transfer .*$2")" -le 4 &&
		test -s dev1/agent/identity.json && fair && test_wait 30 told failed
}
told() { sqlite3 -readonly hq/control/meshanics.db "SELECT 1 FROM transitions WHERE artifact = 'plant/big/$version' AND state = '$1'" | grep 1; }
# mutters RULE WHY: heartbeats that are answered so; the agent says it, stays, asks seldom, and comes back
mutters() {
	: >bad.log && weather bad "/device/heartbeat $1" && test_wait 40 grep "agent.talk.*$2" agent1.log && sleep 1 && status >out &&
		test_json ".last_error != \"\" and .next_try != null" out && test "$(grep -c /device/heartbeat bad.log)" -le 8 &&
		fair && kill -HUP "$(cat agent1.pid)" && test_wait 60 content && : >agent1.log
}

test_expect 'a site, and a device that meets a bad server with a good certificate' '
	fleet_site && fleet_serve && fleet_enroll 1 && fair &&
	test_start bad "$badnet" server bad.port bad.rule bad.log hq dev1 "$FLEET_DEVICE" "$FLEET_REPO" &&
	test_wait 10 test -s bad.port && jq --arg u "https://127.0.0.1:$(cat bad.port)" \
		".device_url = \$u | .repository_url = \$u" dev1/agent/identity.json >identity &&
	cp dev1/agent/identity.json real && cat identity >dev1/agent/identity.json &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 20 status && offer && test_wait 40 outcome big/1 healthy
'
test_expect '500' 'waits "/targets/ status 500" "status=500"'
test_expect '429, and metadata too' 'waits "/metadata/ status 429" "status=429"'
test_expect '503 with Retry-After: not asked again before' '
	weather bad "/targets/ status 503 5" && offer && test_wait 30 failed_with "status=503" && sleep 3 &&
	test "$(tail -n +$((log + 1)) bad.log | grep -c "status GET /targets/")" -eq 1 && fair && test_wait 60 outcome big/$version healthy
'
test_expect 'an answer that is no HTTP' 'waits "/targets/ garbage" "not HTTP"'
test_expect 'a head without end' 'waits "/targets/ endless-head" "longer than"'
test_expect 'chunks that are none' 'waits "/targets/ chunked" "chunk size"'
test_expect 'closed without an answer' 'waits "/targets/ close" "closed the connection"'
test_expect 'a length that is too long' 'waits "/targets/ short 200000" "kind=retry"'
test_expect 'a range that the server forgot: all of it comes once more, and nothing is spoilt' '
	weather bad "/targets/ short 200000" && offer && test_wait 40 failed_with "kind=retry" && weather bad "/targets/ whole" &&
	test_wait 40 outcome big/$version healthy && cmp payload dev1/agent/artifacts/plant/big/current/big &&
	grep "whole GET /targets/.*bytes=200000-" bad.log
'
for wrong in total first; do
	test_expect "a range with a wrong $wrong: not believed, and begun anew" '
		weather bad "/targets/ short 200000" && offer && test_wait 40 failed_with "kind=retry" && weather bad "/targets/ $wrong" &&
		test_wait 40 failed_with "another range" && fair && test_wait 60 outcome big/$version healthy &&
		cmp payload dev1/agent/artifacts/plant/big/current/big
	'
done
test_expect 'a body without end is refused by its signed length' 'gives_up "/targets/ endless" "larger than 300000 bytes"'
test_expect 'a file that is too short' 'gives_up "/targets/ length -10" "299990 bytes where 300000 are signed"'
test_expect 'bytes that are wrong every time are an alarm, not an endless retry' 'gives_up "/targets/ flip" "SHA-256"'
test_expect '404 for a payload is final, after a few tries' 'gives_up "/targets/ status 404" "404"'
test_expect '410' 'gives_up "/targets/ status 410" "410"'
test_expect 'a redirect is not followed' 'gives_up "/targets/ redirect" "302"'
test_expect 'heartbeats that are refused: 401, 403, 404, 410, and the device stays what it is' '
	for code in 401 403 404 410; do
		mutters "status $code" "status=$code" || return 1
	done
	test -s dev1/agent/identity.json && test "$(ls dev1/agent/device-*.key | wc -l)" = 1
'
test_expect 'heartbeats that are answered with nonsense' '
	for interval in 0 -5 1000000000 "\"soon\"" 1.5 null; do
		mutters "json {\"interval_s\":$interval,\"desired\":[],\"orders\":[]}" "answer to heartbeat" || return 1
	done
	mutters "json {}" "answer to heartbeat" && mutters "json {\"interval_s\":1}" "answer to heartbeat" &&
	mutters "json no json" "answer to heartbeat" && mutters huge "larger than"
'
heartbeats() { test "$(grep -c /device/heartbeat bad.log)" -ge 2; }
for code in 405 500 503; do
	test_expect "a report that the server answers $code holds up no heartbeat" '
		weather bad "/device/status status $code" && offer && test_wait 30 outcome big/$version healthy && : >bad.log &&
		test_wait 60 heartbeats && test "$(grep -c /device/status bad.log)" -le 8 && test_alive agent1 && fair
	'
done
test_expect 'what was only not heard is told when it can be; what was refused for good is not told for ever' '
	offer && test_wait 90 told healthy && test_wait 60 content
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
	test_wait 20 content && offer && test_wait 40 outcome big/$version healthy && ! grep secret agent1.log
'
for sick in 'status 502' 'status 403' noise endless close alert 'cut 60'; do
	test_expect "a proxy that is sick: $sick" '
		: >agent1.log && weather proxy "$sick" && test_wait 40 grep "agent.talk.*why=" agent1.log && test_alive agent1 &&
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

#!/bin/sh
# A repository that has a good certificate and bad manners: what is final is final, what may heal is waited for, nothing
# wrong is ever put in place.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
. "$TEST_SRC/tests/e2e/badnet.sh"
test_need jq sqlite3

fair() { weather bad '/ pass'; }
failures() { grep -c "agent.transfer " agent1.log; }
failed_with() { grep "agent.transfer " agent1.log | tail -n +$((seen + 1)) | grep -- "$1"; }
# meets RULE: a payload of 300000 bytes is offered in this weather
meets() { seen=$(failures) log=$(wc -l <bad.log) && weather bad "$1" && offer 300000; }
# waits RULE WHY: said, waited for, and done once the server is sane
waits() { meets "$1" && test_wait 60 failed_with "$2" && test_alive agent1 && fair && arrived 90; }
version=0	# set by offer
# gives_up RULE WHY: tried four times, an alarm, failed, told; what ran runs on
gives_up() {
	cp dev1/agent/artifacts/plant/big/current/big ran && meets "$1" && test_wait 90 outcome "big/$version" failed &&
		grep "agent.alarm.*plant/big/$version.*$2" agent1.log && cmp ran dev1/agent/artifacts/plant/big/current/big &&
		test "$(failed_with "$2" | wc -l)" -le 4 && test -s dev1/agent/identity.json && fair &&
		test_wait 30 told "big/$version" failed "$2"
}

test_expect 'a site, and a device that meets a bad repository with a good certificate' '
	fleet_site && fleet_serve && fleet_enroll 1 && fair &&
	test_start bad "$badnet" server bad.port bad.rule bad.log hq dev1 "$FLEET_DEVICE" "$FLEET_REPO" &&
	test_wait 10 test -s bad.port && detour "$FLEET_DEVICE" "$(cat bad.port)" &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 20 status && offer 1000 && arrived 60
'
test_expect '500' 'waits "/targets/ status 500" "status=500"'
test_expect '429 for metadata' 'waits "/metadata/ status 429" "status=429"'
test_expect '403 speaks of the device, not of the payload' 'waits "/targets/ status 403" "status=403"'
test_expect '503 with Retry-After: not asked again before' '
	meets "/targets/ status 503 5" && test_wait 60 failed_with "status=503" && sleep 3 &&
	test "$(tail -n +$((log + 1)) bad.log | grep -c "status GET /targets/")" -eq 1 && fair && arrived 90
'
test_expect 'an answer that is no HTTP' 'waits "/targets/ garbage" "not HTTP"'
test_expect 'a head without end' 'waits "/targets/ endless-head" "longer than"'
test_expect 'chunks that are none' 'waits "/targets/ chunked" "chunk size"'
test_expect 'a server that forgot how to send a part: all of it comes once more, and nothing is spoilt' '
	meets "/targets/ short 200000" && test_wait 60 failed_with "kind=retry" && weather bad "/targets/ whole" && arrived 90 &&
	grep "whole GET /targets/.*bytes=200000-" bad.log
'
for wrong in total first; do
	test_expect "a range with a wrong $wrong: not believed, and begun anew" '
		meets "/targets/ short 200000" && test_wait 60 failed_with "kind=retry" && weather bad "/targets/ $wrong" &&
		test_wait 60 failed_with "another range" && fair && arrived 90
	'
done
test_expect 'a body without end is refused by its signed length' 'gives_up "/targets/ endless" "larger than 300000 bytes"'
test_expect 'a file that is too short' 'gives_up "/targets/ length -10" "299990 bytes where 300000 are signed"'
test_expect 'bytes that are wrong every time are an alarm, not an endless retry' 'gives_up "/targets/ flip" "SHA-256"'
test_expect '404 for a payload is final, after a few tries' 'gives_up "/targets/ status 404" "404"'
test_expect 'a redirect is not followed' 'gives_up "/targets/ redirect" "302"'
test_expect 'all of it ends cleanly' 'test_stop agent1 && test_stop serve'
test_done

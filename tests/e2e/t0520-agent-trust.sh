#!/bin/sh
# What an agent does with a repository that lies about time, with a clock that is wrong, and with its certificate.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq faketime sqlite3

status() { meshanics agent status --home "dev${1:-1}" --json; }
outcome() { grep "agent.update.*state=$2 .*artifact=plant/plc/$1 " "${3:-agent1}.log"; }
preload=$(test_preload)
# agent_at NAME OFFSET: dev1's agent under a wall clock that is off; time that passes is as it is
agent_at() {
	test_start "$1" "${test_own_clock:?}" env "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0" LD_PRELOAD="$preload" \
		FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 FAKETIME="$2" meshanics agent run --home dev1
}

test_expect 'a site, a device, a first version' '
	fleet_site && fleet_serve && fleet_device 1 && fleet_sign 1.0 && fleet_rollout 1.0 &&
	test_wait 30 outcome 1.0 healthy && cp hq/repo/metadata/timestamp.json old-timestamp.json
'
test_expect 'an older timestamp, played again, is refused with the clause, and the update fails' '
	fleet_sign 2.0 && fleet_rollout 2.0 && test_wait 30 outcome 2.0 healthy && fleet_sign 3.0 && test_stop agent1 &&
	test_stop serve && cp hq/repo/metadata/timestamp.json good-timestamp.json &&
	fleet_serve && fleet_rollout 3.0 && cp old-timestamp.json hq/repo/metadata/timestamp.json &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 40 outcome 3.0 failed agent1 &&
	outcome 3.0 failed | grep "5\.4" && fleet_current 1 "plc 2.0" && cp good-timestamp.json hq/repo/metadata/timestamp.json
'
test_expect 'a timestamp that has expired holds an update up, with the clause; a fresh one, or the right clock, ends that' '
	test_stop agent1 && fleet_sign 4.0 && fleet_rollout 4.0 && agent_at days +5d &&
	test_wait 20 grep "agent.transfer.*kind=retry.*expired.*5\.4\.4" days.log && status >out &&
	test_json ".update.state == \"downloading\" and (.update.reason | test(\"expired\"))" out && fleet_current 1 "plc 2.0" &&
	test_stop days && test_start agent1 meshanics agent run --home dev1 && test_wait 30 outcome 4.0 healthy &&
	fleet_current 1 "plc 4.0" && status >out &&
	test_json ".trust.root.state == \"good\" and .trust.targets.version >= 1 and .trust.timestamp.expires > .trust.signed_at" out &&
	test_json ".trust.refreshed >= .trust.signed_at" out &&
	meshanics agent status --home dev1 >out && grep "^timestamp  *version [0-9]*, good, expires 20" out && test_stop agent1
'
test_expect 'a clock at 1970: the build time and the floor stand in for it, and updates go on' '
	agent_at early "@1970-01-02 00:00:00" &&
	fleet_sign 5.0 && fleet_rollout 5.0 && test_wait 40 outcome 5.0 healthy early && fleet_current 1 "plc 5.0" &&
	status >out && test_json ".time_floor > \"2020\" and .time_used >= .time_floor" out && test_stop early
'
test_expect 'a clock at 2040: no server is valid then; the agent says so, loses nothing, and tries again' '
	agent_at late "@2040-01-01 00:00:00" && test_wait 20 grep "agent.talk" late.log && status >out &&
	test_json ".last_error != \"\"" out && cat late.log && ! grep "state=failed" late.log && test_stop late && fleet_current 1 "plc 5.0"
'
test_expect 'with the clock right again it goes on as if nothing had been' '
	fleet_sign 6.0 && fleet_rollout 6.0 && test_start agent1 meshanics agent run --home dev1 &&
	test_wait 40 outcome 6.0 healthy && fleet_current 1 "plc 6.0" && test_stop agent1
'
test_expect 'a certificate two thirds through its life is renewed, with a new key, and the agent goes on with it' '
	test_stop serve && fleet_serve --certificate-life 1h && fleet_enroll 2 && ls dev2/agent/*.key >keys &&
	jq -r .certificate dev2/agent/identity.json >before && cp -a dev2 dev3 &&
	test_start agent2 "${test_own_clock:?}" env "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0" LD_PRELOAD="$preload" \
		FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 FAKETIME=+45m meshanics agent run --home dev2 &&
	test_wait 30 grep agent.renewed agent2.log && ! jq -r .certificate dev2/agent/identity.json | cmp -s - before &&
	test "$(ls dev2/agent/*.key | wc -l)" = 1 && ! ls dev2/agent/*.key | cmp -s - keys &&
	fleet_sign 7.0 && fleet_rollout 7.0 && test_wait 40 outcome 7.0 healthy agent2 && fleet_current 2 "plc 7.0" &&
	test "$(grep -c agent.renewed agent2.log)" = 1 && test_stop agent2 &&
	test_start agent2 meshanics agent run --home dev2 && test_wait 20 status 2 && test_stop agent2
'
# dev3 is what dev2 was when it had asked: its key is written down, the answer is lost. Then the old certificate ends.
test_expect 'an answer to a renewal that was lost until the old certificate was superseded is given again' '
	cp dev2/agent/device-*.key dev3/agent/device-renewing.key && cp dev2/agent/device-*.pub dev3/agent/device-renewing.pub &&
	test_stop serve && sqlite3 hq/control/meshanics.db "UPDATE certificates SET superseded_s = issued_s WHERE superseded_s > 0" &&
	fleet_serve --certificate-life 1h && test_start agent3 meshanics agent run --home dev3 &&
	test_wait 30 grep agent.renewed agent3.log && jq -r .certificate dev2/agent/identity.json >want &&
	jq -r .certificate dev3/agent/identity.json | cmp - want && ! cmp -s before want &&
	test_wait 30 sh -c "meshanics agent status --home dev3 --json | jq -e .registered" && test_stop agent3 &&
	test ! -e dev3/agent/device-renewing.key
'
test_expect 'serve ends cleanly' 'test_stop serve'
test_done

#!/bin/sh
# Rollouts over a small fleet of devices that are real: waves, approval, halt, fall back, abort, late devices.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq

hq() { meshanics "$@" --home hq; }
# shellcheck disable=SC2317 # by test_wait
in_state() { hq rollout show --devices --json "$1" | jq -e "$2" >/dev/null; }

test_expect 'a site with three devices' '
	chmod 711 . && fleet_site && fleet_serve &&
	fleet_device 1 && fleet_device 2 && fleet_device 3 &&
	test_wait 30 eval "hq device list --presence online --json | jq -e \".devices | length == 3\""
'
test_expect 'devices are listed with what they are, and only those asked for' '
	hq device list >out && test "$(grep -c "active *online" out)" = 3 &&
	hq device list --json | jq -e ".devices[0].profile.arch" &&
	hq device tag --add canary --add line-1 press-0001 >out && grep "press-0001: canary,line-1" out &&
	hq device tag --remove line-1 press-0001 --json >out && test_json ".devices[0].tags == [\"canary\"]" out &&
	hq device list --tag canary --json >out && test_json "[.devices[].device] == [\"press-0001\"]" out &&
	hq device list --state revoked --json >out && test_json ".devices == []" out &&
	hq device show press-0001 >out && grep "^tags *canary" out
'
test_expect 'what is wrong with a tag or a device is said' '
	test_status 1 hq device show nobody 2>err && grep "no such device .nobody." err &&
	test_status 3 hq device tag --add "Line 1" press-0001 2>err && grep tag err &&
	test_status 2 hq device tag press-0001 2>err && grep -e --add err
'
test_expect 'what cannot be rolled out is refused' '
	test_status 1 hq rollout create plant/plc/9 --all 2>err && grep "artifact list" err &&
	fleet_sign 1 && fleet_sign 2 && fleet_sign 3 && fleet_sign 4 &&
	test_status 2 hq rollout create plant/plc/1 2>err && grep -e --where err &&
	test_status 2 hq rollout create plant/plc/1 --all --waves 50 2>err && grep "the last one is 100" err &&
	test_status 2 hq rollout create plant/plc/1 --all --max-failure-rate 2 2>err &&
	test_status 2 hq rollout create plant/plc/1 --where "arch==x" 2>err && grep "character 6" err &&
	test_status 1 hq rollout create plant/plc/1 --tag nothing 2>err && grep -e --allow-empty err &&
	test_status 1 hq rollout create plant/plc/1 --device press-9 2>err && grep "press-9" err &&
	echo "{\"waves\":[{\"percent\":10}]}" >bad.json &&
	test_status 2 hq rollout create plant/plc/1 --all --strategy bad.json 2>err && grep "10 percent" err &&
	hq rollout list --json >out && test_json ".rollouts == []" out
'
test_expect 'waves follow each other, the second by hand' '
	hq rollout create plant/plc/1 --all --waves 1,50m,100 >out && grep "^state *running" out &&
	test_wait 30 in_state 1 ".waves[1].state == \"waiting\"" &&
	hq rollout show 1 --json >out && test_json ".devices.healthy == 1 and .devices.planned == 2" out &&
	test_status 1 hq rollout show 7 &&
	hq rollout approve 1 --reason "press one ran well" >out &&
	test_wait 30 fleet_state 1 completed &&
	fleet_current 1 "plc 1" && fleet_current 2 "plc 1" && fleet_current 3 "plc 1"
'
test_expect 'a version that does not come up is rolled back, and the rollout halts in its first wave' '
	fleet_sign 5 --probe-tcp 127.0.0.1:1 --probe-attempts 1 --probe-timeout 1 --probe-delay 0 &&
	hq rollout create plant/plc/5 --all --waves 1,100 >out &&
	test_wait 30 fleet_state 2 halted &&
	hq rollout show 2 --devices >out && grep "^reason *halted in wave 1: 1 of 1 reported went bad" out &&
	grep rolled_back out &&
	fleet_current 1 "plc 1" && fleet_current 2 "plc 1" && fleet_current 3 "plc 1" &&
	test_status 1 hq rollout approve 2 2>err && grep "it is halted" err &&
	test_status 2 hq rollout abort 2 2>err && grep -e --revert err &&
	test_status 1 hq rollout create plant/plc/2 --all 2>err && grep "rollout abort 2 --keep" err &&
	hq rollout abort 2 --keep --reason "bad probe" >out && grep "aborted by local:.*: bad probe" out
'
test_expect 'paused, nobody begins; resumed, all do' '
	hq rollout create plant/plc/2 --where "name!=press-0001" --waves 100 >out &&
	hq rollout pause 3 --reason lunch >out && grep "paused by local:.*: lunch" out &&
	test_status 1 hq rollout pause 3 &&
	hq rollout resume 3 && test_wait 30 fleet_state 3 completed &&
	fleet_current 1 "plc 1" && test_wait 10 eval "cat dev*/agent/artifacts/plant/plc/current/plc | grep -c \"plc 2\" | grep 2"
'
test_expect 'reverted, devices go back to the version they kept' '
	hq rollout abort 3 --revert >out &&
	test_wait 30 in_state 3 "[.assignments[].state] == [\"rolled_back\", \"rolled_back\"]" &&
	fleet_current 1 "plc 1" && fleet_current 2 "plc 1" && fleet_current 3 "plc 1"
'
test_expect 'a device that comes late gets what the others have' '
	fleet_device 4 && test_wait 30 fleet_current 4 "plc 1" &&
	late_is_healthy() { hq device show press-0004 >out && grep "1 *plant/plc/1 *install *healthy *yes" out; } &&
	test_wait 30 late_is_healthy
'
test_expect 'a revoked device is waited for by nobody' '
	hq device revoke press-0004 --reason sold &&
	hq rollout create plant/plc/4 --all --waves 100 >out && grep "^devices *3" out &&
	test_wait 30 fleet_state 4 completed
'
test_expect 'all of it is in the trail' '
	hq audit verify &&
	for action in rollout.create rollout.wave rollout.wait rollout.approve rollout.halt rollout.abort rollout.pause \
		rollout.resume rollout.complete rollout.join device.tag device.register device.status device.revoke; do
		hq audit list --action $action --json | jq -e ".records | length > 0" >/dev/null || { echo $action; return 1; }
	done &&
	hq audit list --object rollout:2 --json | jq -e "[.records[].action] | index(\"rollout.halt\")" &&
	hq audit list --action device.status --json --limit 1000 | jq -e "[.records[] | select(.verdict == \"failed\")] | length >= 1"
'
test_expect 'who may not is told what is missing, and that is recorded too' '
	hq operator add wim --role viewer --out wim.token &&
	hq operator add ann --role approver --out ann.token &&
	far="--home nowhere --server https://127.0.0.1:$FLEET_API --token-file" &&
	test_status 3 meshanics rollout create plant/plc/4 --all $far wim.token 2>err && grep rollout.create err &&
	test_status 3 meshanics rollout create plant/plc/4 --all $far ann.token 2>err && grep rollout.create err &&
	test_status 3 meshanics rollout pause 4 $far ann.token 2>err && grep rollout.control err &&
	test_status 3 meshanics device tag --add x press-0001 $far wim.token 2>err && grep device.write err &&
	meshanics rollout show 4 $far wim.token >out &&
	meshanics audit verify $far wim.token >out && grep intact out &&
	hq audit list --actor operator:wim --json >out && test_json "[.records[] | select(.verdict == \"refused\")] | length == 2" out
'
test_done

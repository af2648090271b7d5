#!/bin/sh
# The agent under clocks that are wrong, that step and that drift, while the server's is its own.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/fleet.sh
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq faketime sqlite3
# shellcheck source=tests/e2e/clock.sh
. "$TEST_SRC/tests/e2e/clock.sh"
FLEET_START=clock_start

status() { meshanics agent status --home dev1 --json; }
outcome() { grep "agent.update.*state=$2 .*artifact=plant/plc/$1 " agent1.log; }
run() { clock_start agent1 meshanics agent run --home dev1; }
floor() { cat dev1/agent/trusted/floor; }
now() { clock_set agent1 +0; }
year() { clock_set agent1 "@$1-01-01 00:00:00"; }
answered() { status | jq -e ".last_error == \"\" and .last_answer != null"; }
# roll VERSION [ARG...]: publish it and roll it out
roll() { fleet_sign "$@" && fleet_rollout "$1"; }
# hold VERSION: a version that is probed until `well` is there
hold() {
	rm -f well
	roll "$1" --probe-file "$TEST_DIR/well" --probe-attempts 10 --probe-delay 1s --probe-timeout 1s &&
		test_wait 30 outcome "$1" probing
}

test_expect 'a device that has never known the time enrols, connects and updates' '
	fleet_site && clock_set serve +0 && fleet_serve && year 1970 &&
	meshanics enroll token create --home hq --root signed/root.json --out token1 &&
	test_at "1970-01-01 00:00:00" meshanics agent enroll --home dev1 --token-file token1 && run &&
	roll 1.0 && test_wait 60 outcome 1.0 healthy && status >out &&
	test_json ".time_used >= .time_floor and .time_floor > \"2026\" and .last_answer > \"2026\"" out
'
test_expect 'it is set right, by 56 years, while a version is probed: nothing is confused' '
	hold 2.0 && now && sleep 2 && status >out && test_json ".update.state == \"probing\"" out && echo yes >well &&
	test_wait 60 outcome 2.0 healthy && ! grep -e "took too long" -e agent.renewed agent1.log
'
test_expect 'a clock that goes to 2040 in the middle of an update and back: it goes on by itself' '
	floor >before && cp dev1/agent/identity.json identity.before && year 2040 && roll 3.0 &&
	test_wait 30 grep "agent.transfer.*kind=retry.*expired" agent1.log && floor | cmp - before && cmp dev1/agent/identity.json identity.before &&
	now && test_wait 60 outcome 3.0 healthy && ! grep -e "state=failed" -e agent.renewed agent1.log
'
test_expect 'and while it is probed; a restart in 2040 and another one in 1970 change nothing' '
	hold 4.0 && floor >before && year 2040 && sleep 1 && test_stop agent1 && run && test_wait 20 grep agent.resume agent1.log &&
	test_stop agent1 && year 1970 && run && test_wait 20 grep agent.resume agent1.log && echo yes >well &&
	test_wait 60 outcome 4.0 healthy && floor | cmp - before && now && test_wait 30 answered
'
test_expect 'a clock that jumps by hours and days and drifts all through an update does not end it' '
	roll 5.0 --probe-file "$TEST_DIR/well" --probe-delay 2s && for t in +3h -2d "+0 x1.5" -40d "+9h x0.5" "@2001-09-09 01:46:40" +1d; do
		clock_set agent1 "$t" && sleep 0.4 || return 1
	done && now && test_wait 60 outcome 5.0 healthy && ! grep -e "took too long" -e "state=failed" agent1.log
'
test_expect 'the limit of a state counts the time that the agent ran, not what the wall clock says' '
	test_stop agent1 && clock_set serve +0 && sqlite3 dev1/agent/state.db "INSERT INTO updates (assignment, path, state, since_s, reason)
		VALUES (9001, '\''plant/plc/9'\'', 1, strftime('\''%s'\'') - 3 * 86400, '\'''\'')" &&
	run && test_wait 20 grep "agent.transfer.*plant/plc/9" agent1.log && ! grep "took too long" agent1.log && test_stop agent1 &&
	sqlite3 dev1/agent/state.db "SELECT value ->> '\''stay_s'\'' FROM facts WHERE key = '\''stay-downloading'\''" | grep -x 60 &&
	run && test_wait 20 grep "agent.transfer.*plant/plc/9" agent1.log && test_stop agent1 &&
	sqlite3 dev1/agent/state.db "SELECT value ->> '\''stay_s'\'' FROM facts WHERE key = '\''stay-downloading'\''" | grep -x 120 &&
	sqlite3 dev1/agent/state.db "UPDATE facts SET value = '\''{\"assignment\":9001,\"stay_s\":86399}'\'' WHERE key = '\''stay-downloading'\''" &&
	run && test_wait 20 grep "state=failed assignment=9001.*took too long" agent1.log
'
test_expect 'an expired timestamp, replayed to a device in 1970 that lost its own, is refused by the floor' '
	cp hq/repo/metadata/timestamp.json stale.json && test_stop agent1 && test_stop serve && clock_set serve +3d && fleet_serve && year 1970 &&
	run && roll 6.0 && test_wait 60 outcome 6.0 healthy && test_stop agent1 && test_stop serve &&
	cp hq/repo/metadata/timestamp.json good.json && rm dev1/agent/trusted/timestamp.json dev1/agent/trusted/snapshot.json && fleet_serve &&
	roll 7.0 && cp hq/repo/metadata/timestamp.json good.json && cp stale.json hq/repo/metadata/timestamp.json && floor >before && run &&
	test_wait 60 outcome 7.0 failed && outcome 7.0 failed | grep "5\.4\.4" && floor | cmp - before && cp good.json hq/repo/metadata/timestamp.json &&
	test_status 1 meshanics doctor --home dev1 >out && grep "^problem *agent *the clock says .*before the newest signed time" out
'
test_expect 'a certificate that ends while the clock stands in 1970 is renewed: the refusal says so' '
	test_stop agent1 && test_stop serve && fleet_serve --certificate-life 1h && rm -rf dev1 && fleet_enroll 1 && year 1970 &&
	test_stop serve && clock_set serve +265000 && fleet_serve --certificate-life 1h && run &&
	test_wait 30 grep "agent.renewed" agent1.log && test_wait 30 answered && test "$(grep -c agent.renewed agent1.log)" = 1
'
test_expect 'a stolen timestamp key pushes the floor months ahead, and with it the device out of reach' '
	test_stop agent1 && now && meshanics rollout abort 7 --keep --home hq && roll 8.0 && cp hq/repo/metadata/timestamp.json good.json && cp -r hq evil && rm -f evil/control/control.sock &&
	test_at +160d meshanics repo refresh --home evil --accept-clock --force && cp -f evil/repo/metadata/* hq/repo/metadata/ && run &&
	test_wait 60 outcome 8.0 healthy && test "$(floor)" -gt $(($(date +%s) + 13000000)) && test_stop agent1 && run &&
	test_wait 30 grep "agent.talk.*certificate of the server expired" agent1.log
'
test_expect 'a root with another timestamp key heals it, without an order, an update or a hand on the device' '
	cp good.json hq/repo/metadata/timestamp.json && meshanics repo keys rotate --home hq -o next.json &&
	meshanics ceremony rotate --home off --root signed/root.json --online-keys next.json -o next.request &&
	digits=$(meshanics ceremony status next.request --home off --json | jq -r .request | cut -c 1-16) &&
	for who in root1 root2; do
		meshanics ceremony sign next.request --home off --key $who --fingerprint "$digits" -o next-$who.json || return 1
	done &&
	mkdir next && meshanics ceremony finish next.request next-root*.json --home off -o next && meshanics repo adopt --home hq next/root.json &&
	test_wait 90 grep "agent.roots floor=dropped" agent1.log && test_wait 60 answered && test "$(floor)" -lt $(($(date +%s) + 1000000)) &&
	roll 9.0 && test_wait 60 outcome 9.0 healthy && test_stop agent1 && test_stop serve
'
test_done

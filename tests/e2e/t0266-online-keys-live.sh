#!/bin/sh
# New online keys come into force under a running serve, and a device that runs follows.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/fleet.sh
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq curl

test_expect 'a fleet of one runs 1.0' '
	fleet_site && fleet_serve && fleet_device 1 && fleet_sign 1.0 && fleet_rollout 1.0 &&
	test_wait 30 fleet_current 1 "plc 1.0"
'

test_expect 'the box makes new keys, and goes on with the old ones' '
	meshanics repo keys rotate --home hq --publisher "plant2:plant/*/*" -o next.json &&
	meshanics repo status --home hq >out && grep "new online keys wait" out &&
	meshanics repo refresh --force --home hq && fleet_sign 1.1 && fleet_rollout 1.1 && test_wait 30 fleet_current 1 "plc 1.1"
'

test_expect 'a ceremony names them, and the device follows' '
	meshanics ceremony rotate --home off --root signed/root.json --targets signed/targets.json --online-keys next.json \
		--publisher plant2 --remove-publisher plant -o next.request &&
	digits=$(meshanics ceremony status next.request --home off --json | jq -r .request | cut -c 1-16) &&
	for who in root1 root2 targets1; do
		meshanics ceremony sign next.request --home off --key $who --fingerprint "$digits" -o next-$who.json || return 1
	done &&
	mkdir next && meshanics ceremony finish next.request next-*.json --home off -o next &&
	meshanics repo adopt --home hq next/root.json next/targets.json && test ! -e hq/repo/keys-next &&
	fleet_sign 2.0 --release 3 && fleet_rollout 2.0 && test_wait 40 fleet_current 1 "plc 2.0" &&
	meshanics repo refresh --force --home hq && test_alive serve
'

test_done

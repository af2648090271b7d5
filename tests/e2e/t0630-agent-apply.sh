#!/bin/sh
# A bundle that is brought to a device whose control plane is gone for good: applied, judged, rolled back, refused.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq perl

MKBUNDLE=$TEST_TOOLS/mkbundle
[ -x "$MKBUNDLE" ] || make -s -C "$TEST_SRC" B="$(dirname "$TEST_TOOLS")" "$MKBUNDLE" || exit 1

# The agent of dev1 by itself: nobody is there to talk to.
agent_start() { test_start agent1 meshanics agent run --home dev1 && test_wait 20 status; }
status() { meshanics agent status --home dev1 --json; }
apply() { meshanics agent apply --home dev1 "$@"; }
# bundle OUT [KEY [KIND [SITE [ORIGIN [CREATED [VALID]]]]]]: all of hq as a bundle
bundle() {
	bundle_now=$(date +%s)
	"$MKBUNDLE" hq/repo "${2:-hq/repo/keys/record-site.key}" "${3:-device}" "${4:-main}" "${5:-main}" \
		"${6:-$bundle_now}" "${7:-$((bundle_now + 86400))}" "$1"
}
# What a refusal must leave as it was.
facts() {
	find dev1/agent/trusted dev1/agent/artifacts dev1/agent/work -type f ! -name lock -exec sha256sum {} + | sort
	readlink dev1/agent/artifacts/plant/plc/current
}

test_expect 'a site, a device with its first version, and then no server ever again' '
	fleet_site && fleet_serve && fleet_device 1 && test_wait 20 status && fleet_sign 1.0 --release 10 && fleet_rollout 1.0 &&
	test_wait 30 fleet_current 1 "plc 1.0" && test_wait 30 fleet_state 1 completed && test_stop agent1 && test_stop serve
'
test_expect 'a bundle with the next version: each state is told, and the running agent applies it' '
	fleet_sign 2.0 --release 20 && bundle two.bundle && agent_start &&
	apply two.bundle >out && cat out && fleet_current 1 "plc 2.0" &&
	grep "^bundle .* of site .main." out && grep -c "^plant/plc/2.0: " out >n && test "$(cat n)" = 5 &&
	grep "^plant/plc/2.0: healthy" out && status >s && test_json ".artifacts[0] | .version == \"2.0\" and .mark == 20" s
'
test_done

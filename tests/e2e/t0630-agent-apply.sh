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
	fleet_sign 2.0 --release 20 && meshanics bundle export --home hq --valid-for 10m --output two.bundle && agent_start &&
	apply two.bundle >out && cat out && fleet_current 1 "plc 2.0" &&
	grep "^bundle 1 of site .main." out && grep -c "^plant/plc/2.0: " out >n && test "$(cat n)" = 5 &&
	! ls -l /proc/[0-9]*/fd 2>/dev/null | grep "$TEST_DIR/two.bundle" &&
	grep "^plant/plc/2.0: healthy" out && status >s && test_json ".artifacts[0] | .version == \"2.0\" and .mark == 20" s
'
test_expect 'the same again: there is nothing to apply, and named it is put in once more' '
	apply two.bundle >out && grep "nothing to apply" out && grep "left as it is: in place already" out &&
	apply two.bundle plant/plc/2.0 >out && grep "plc/2.0: healthy" out && fleet_current 1 "plc 2.0" &&
	test_status 1 apply two.bundle plant/plc/9 2>err && cat err &&
	grep "the metadata of this bundle lists no artifact .plant/plc/9." err && grep "^hint: .*--dry-run" err
'
test_expect 'a dry run verifies, says what would be, and changes nothing' '
	fleet_sign 3.0 --release 30 && bundle three.bundle && facts >before && apply --dry-run three.bundle >out && cat out &&
	grep "plant/plc/3.0: would be applied: release 30, 8 bytes" out && facts >after && cmp before after &&
	apply --dry-run three.bundle --json >j && test_json ".stage == \"done\" and .dry_run and (.artifacts | length == 1)" j
'
test_expect 'probes that fail take it back, with the reason; the rest of the bundle is applied all the same' '
	fleet_sign 3.1 --release 31 --probe-tcp 127.0.0.1:1 --probe-attempts 2 --probe-delay 0 && echo x >extra &&
	meshanics sign extra --home hq --namespace plant --name extra --version 1 --kind file && bundle sick.bundle &&
	test_status 1 apply sick.bundle >out 2>err && cat out err && grep "plant/plc/3.1. was rolled back: tcp probe failed 2 times" err &&
	fleet_current 1 "plc 2.0" && cmp extra dev1/agent/artifacts/plant/extra/current/extra &&
	test ! -e dev1/agent/artifacts/plant/plc/3.1
'
test_expect 'a release below the mark is passed over, and refused when it is named' '
	fleet_sign 4.0 --release 40 && bundle four.bundle && apply four.bundle && fleet_current 1 "plc 4.0" &&
	test_status 3 apply four.bundle plant/plc/3.0 2>err && cat err && grep "release 30" err && fleet_current 1 "plc 4.0"
'
test_expect 'a bundle from before is refused: its metadata is older than what is trusted' '
	facts >before && test_status 3 apply two.bundle 2>err && cat err && grep "older\|below" err && facts >after && cmp before after
'
# refused STATUS WORDS COMMAND...: it ends so, says so, and leaves no trace
refused() {
	refused_status=$1 refused_words=$2
	shift 2
	facts >before && test_status "$refused_status" "$@" 2>err && cat err && grep "$refused_words" err && facts >after &&
		cmp before after
}
test_expect 'what is not for this device, or not from its site, is refused and leaves no trace' '
	fleet_sign 5.0 --release 50 && now=$(date +%s) && bundle good.bundle &&
	bundle other.bundle hq/repo/keys/record-site.key device depot-7 depot-7 &&
	refused 3 "for site .depot-7., this device is of site .main." apply other.bundle &&
	bundle site.bundle hq/repo/keys/record-export.key site main hq && refused 3 "for the repository of site" apply site.bundle &&
	bundle forged.bundle hq/repo/keys/record-export.key && refused 3 "not signed by a record key" apply forged.bundle &&
	bundle stranger.bundle off/keys/root1.key && refused 3 "not signed by a record key" apply stranger.bundle &&
	bundle past.bundle hq/repo/keys/record-site.key device main main 1577836800 1577923200 &&
	refused 3 "was valid until 2020-01-02" apply past.bundle &&
	bundle over.bundle hq/repo/keys/record-site.key device main main "$now" "$(($(date +%s) + 1))" && sleep 2 &&
	refused 4 "was valid until .*by this machine.s clock" apply over.bundle
'
# Where in a file the bytes of another stand.
offset_in() {
	perl -e "
		local \$/; open(my \$f, '<:raw', \$ARGV[0]); my \$a = <\$f>; open(my \$g, '<:raw', \$ARGV[1]); my \$b = <\$g>;
		my \$i = index(\$a, \$b); die if \$i < 0; print \$i" "$1" "$2"
}
test_expect 'one wrong byte anywhere, a cut, a pipe: refused without a trace' '
	cp good.bundle bad.bundle && test_flip bad.bundle "$(offset_in bad.bundle plc-5.0)" &&
	refused 3 "SHA-256" apply bad.bundle &&
	cp good.bundle bad.bundle && test_flip bad.bundle "$(($(offset_in bad.bundle hq/repo/metadata/timestamp.json) + 40))" &&
	refused 3 "timestamp.json.*SHA-256" apply bad.bundle &&
	cp good.bundle bad.bundle && test_flip bad.bundle 700 && refused 3 bad.bundle apply bad.bundle &&
	head -c "$(($(offset_in good.bundle plc-5.0) + 3))" good.bundle >bad.bundle && refused 4 "cut short\|ends" apply bad.bundle &&
	head -c 20000 /dev/urandom >bad.bundle && refused 3 "" apply bad.bundle && : >bad.bundle && refused 4 "" apply bad.bundle &&
	mkfifo pipe && refused 3 "is not a file" apply pipe && refused 1 "neither a file nor" apply absent.bundle &&
	refused 1 "plant/none/1" apply good.bundle plant/none/1 && status >s && test_json ".update == null" s
'
test_expect 'volumes are found beside the first; one that is missing is asked for' '
	head -c 300000 /dev/urandom >volume-payload && cp good.bundle keep.bundle &&
	meshanics sign volume-payload --home hq --namespace plant --name big --version 1 --kind file &&
	"$MKBUNDLE" hq/repo hq/repo/keys/record-site.key device main main "$(date +%s)" "$(($(date +%s) + 9999))" v.bundle 100000 &&
	ls v.bundle.* && mv v.bundle.002 hidden && refused 4 "volume 2" apply v.bundle.001 && mv hidden v.bundle.002 &&
	apply v.bundle.001 >out && cat out && cmp volume-payload dev1/agent/artifacts/plant/big/current/big && fleet_current 1 "plc 5.0"
'
test_expect 'a machine that is no device is told how to become one' '
	test_status 1 meshanics agent apply --home nobody good.bundle 2>err && cat err && grep "agent enroll" err &&
	test ! -e nobody/agent/state.db
'
test_expect 'no agent runs: the verb does it by itself, and no agent is left behind' '
	test_stop agent1 && fleet_sign 6.0 --release 60 && bundle six.bundle && apply six.bundle >out && cat out &&
	fleet_current 1 "plc 6.0" && test_status 4 status && test -z "$(pgrep -f "agent apply --home dev1")"
'
test_expect 'a clock of 1970 does; one of 2040 says that it may be wrong' '
	fleet_sign 7.0 --release 70 && bundle seven.bundle && ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 &&
	test_status 4 test_at "2040-01-01 00:00:00" meshanics agent apply --home dev1 seven.bundle 2>err && cat err &&
	fleet_current 1 "plc 6.0" &&
	test_at "1970-01-02 00:00:00" meshanics agent apply --home dev1 seven.bundle && fleet_current 1 "plc 7.0"
'

# Kills, a full disk, and what stands in the way.
test_expect 'kill -9 of the agent at any moment: it goes on, or begins again, and ends with the new version' '
	agent_start && version=8 && head -c 3000000 /dev/urandom >filler && for ms in 0 20 40 60 80 100 150 200 300; do
		version=$((version + 1)) && { echo "plc $version.0"; cat filler; } >payload &&
		meshanics sign payload --home hq --namespace plant --name plc --version "$version.0" --kind file \
			--release "$((version * 100))" --probe-file /etc/passwd >/dev/null && bundle "$version.bundle" &&
		{ apply "$version.bundle" >out.$version 2>&1 & } && sleep "$(printf "0.%03d" "$ms")" && test_crash agent1 &&
		wait $! ; cat "out.$version"; agent_start && test_wait 20 sh -c "meshanics agent status --home dev1 --json | jq -e \".update == null\"" &&
		apply "$version.bundle" && cmp payload dev1/agent/artifacts/plant/plc/current/plc || return 1
	done && test -z "$(find dev1/agent/work dev1/agent/artifacts -name "*.part" -o -name ".incoming*")"
'
test_expect 'kill -9 of the verb: the agent has the bundle, and ends it' '
	fleet_sign 100.0 --release 10000 --probe-file /etc/passwd --probe-delay 1 && bundle hundred.bundle &&
	test_start verb meshanics agent apply --home dev1 hundred.bundle && test_wait 20 grep probing verb.log && test_crash verb &&
	test_wait 20 fleet_current 1 "plc 100.0" && test_wait 20 grep "state=healthy.*plc/100.0" agent1.log
'
test_expect 'one at a time: who comes meanwhile is told to come again; --no-wait does not wait' '
	fleet_sign 101.0 --release 10100 --probe-file /etc/passwd --probe-delay 3 && bundle slow.bundle &&
	apply --no-wait slow.bundle >out && ! grep healthy out && test_status 4 apply slow.bundle 2>err && cat err &&
	grep "another bundle is being applied" err && status >s && test_json ".update.local and .update.assignment == 0" s &&
	test_wait 20 grep "state=healthy.*plc/101.0" agent1.log && apply slow.bundle >out && grep "nothing to apply" out
'
test_expect 'when the control plane comes back, it hears of all of it, and goes on as before' '
	fleet_serve && test_wait 60 sh -c "meshanics audit list --home hq --json --limit 1000 | grep -q plant/plc/101.0" &&
	meshanics audit list --home hq --json --limit 1000 >a && jq -e "[.records[] | select(.action == \"device.status\")
		| .detail | select(.artifact == \"plant/plc/2.0\") | [.assignment, .state]] |
		[.[] | .[0]] | unique == [0]" a && grep "from bundle 1 of" a &&
	fleet_sign 102.0 --release 10200 && fleet_rollout 102.0 && test_wait 30 fleet_state 2 completed && fleet_current 1 "plc 102.0" &&
	test_stop serve && test_stop agent1
'

test_expect 'what the control plane has asked for, and cannot send any more, is taken from a bundle as the same update' '
	head -c 600000 /dev/urandom >late && fleet_serve &&
	test_start agent1 meshanics agent run --home dev1 --download-rate 2K && test_wait 20 status &&
	meshanics sign late --home hq --namespace plant --name late --version 1 --kind file &&
	meshanics rollout create plant/late/1 --home hq --all --waves 100 >out &&
	test_wait 20 sh -c "meshanics agent status --home dev1 --json | jq -e \".update.downloaded > 0\"" && test_stop serve &&
	apply --dry-run four.bundle; apply two.bundle; status >s && test_json ".update.state == \"downloading\" and (.update.local | not)" s &&
	meshanics bundle export --home hq --valid-for 10m --output late.bundle && fleet_sign 103.0 --release 10300 &&
	meshanics bundle export --home hq --valid-for 10m --artifact "plant/plc/*" --output others.bundle &&
	test_status 4 apply others.bundle plant/plc/103.0 2>err && cat err && grep "plant/late/1. is downloading, and this bundle" err &&
	meshanics bundle export --home hq --valid-for 10m --output all.bundle && apply all.bundle >out 2>err; cat out err &&
	cmp late dev1/agent/artifacts/plant/late/current/late && fleet_current 1 "plc 103.0" &&
	test "$(grep -c "healthy" out)" = 2 && fleet_serve && test_wait 40 fleet_state 3 completed && test_stop serve && test_stop agent1
'

if [ "$(id -u)" -eq 0 ]; then
	test_expect 'a full disk is waited for, and is no failure' '
		test_disk dev2 44m && fleet_serve && fleet_enroll 2 && test_stop serve && head -c 12000000 /dev/urandom >room &&
		meshanics sign room --home hq --namespace plant --name room --version 1 --kind file && bundle room.bundle &&
		head -c 24000000 /dev/zero >dev2/ballast &&
		test_start apply2 meshanics agent apply --home dev2 room.bundle plant/room/1 &&
		test_wait 20 grep "downloading: waits for room on the disk: needs 24000000 bytes" apply2.log && rm dev2/ballast &&
		test_wait 90 grep "plant/room/1: healthy" apply2.log && grep "there is room on the disk again" apply2.log &&
		cmp room dev2/agent/artifacts/plant/room/current/room
	'
else
	test_skip 'a full disk is waited for, and is no failure' 'not root'
fi

# The policy and the stick. Two agents: none.
policy() { cat >allow.yaml && chmod 644 allow.yaml; }
media() { apply --media stick --label MESHANICS --allow allow.yaml "$@"; }
test_expect 'without a policy, or with one that does not say so, media are let be' '
	mkdir -p stick/meshanics/bundles && cp two.bundle stick/meshanics/bundles/main-000002.bundle &&
	fleet_sign 110.0 --release 11000 && bundle stick/meshanics/bundles/main-000003.bundle &&
	bundle stick/meshanics/bundles/depot-7-000009.bundle hq/repo/keys/record-site.key device depot-7 depot-7 &&
	rm -f allow.yaml && refused 3 "does not allow bundles from media" media &&
	policy </dev/null && refused 3 "does not allow bundles from media" media &&
	printf "media:\n  apply: false\n  labels: [MESHANICS]\n" | policy && refused 3 "(media.apply)" media &&
	printf "media:\n  apply: true\n" | policy && refused 3 "label .MESHANICS. (media.labels)" media &&
	printf "media:\n  apply: true\n  labels: [meshanics, OTHER]\n" | policy && refused 3 "(media.labels)" media
'
test_expect 'what is wrong in the policy is named with its place, and denies' '
	printf "media:\n  aply: true\n" | policy && refused 2 "allow.yaml:2:3: unknown key .media.aply." media &&
	grep "did you mean .media.apply." err && printf "media:\n  apply: yes\n" | policy && refused 2 "allow.yaml:2:10" media &&
	printf "media:\n  apply: true\n  labels: [\"A B\"]\n" | policy && refused 2 "allow.yaml:3:11: .A B. is no label" media &&
	printf "media:\n  apply: true\n  labels: [MESHANICS]\n" | policy && chmod 666 allow.yaml &&
	refused 3 "others can write" media && chmod 644 allow.yaml && refused 3 "no label" meshanics agent apply --home dev1 --media stick --allow allow.yaml
'
test_expect 'allowed, the newest bundle that holds is applied, and what is not for us is passed over with a word' '
	printf "media:\n  apply: true\n  labels: [MESHANICS]\n" | policy && media >out 2>err && cat out err && fleet_current 1 "plc 110.0" &&
	grep "main-000002.bundle.*older than trusted" err && grep "depot-7-000009.bundle.*for site .depot-7." err &&
	grep "plant/plc/110.0: healthy" out && media >out && grep "nothing to apply" out
'
test_expect 'nothing on a stick leads away from it' '
	rm stick/meshanics/bundles/* && ln -s "$TEST_DIR/four.bundle" stick/meshanics/bundles/main-000001.bundle &&
	refused 3 "symbolic link" media && rm stick/meshanics/bundles/* && refused 1 "no bundle on the medium" media &&
	rm -r stick/meshanics && refused 1 "meshanics" media
'
test_done

#!/bin/sh
# tuf-js updates from a repository that our command line has made, from root version 1 on: flat, and in hash bins.
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"

publish() {
	echo "$3" >"$2-$3" && as "$1" sign "$2-$3" --namespace plant --name "$2" --version "$3"
}

# A client that has never seen the repository, with the site's first root.
client() {
	rm -rf "$1" "$1.got" && mkdir "$1" && cp "$2.out/root.json" "$1/root.json"
}

# pass HOME [ARG...]: everything once; ARG for repo init.
pass() {
	h=$1
	shift
	extra=$*

	test_expect "a site with two artifacts${extra:+ ($extra)}" '
		site_up $h $extra && publish $h plc 1.0.0 && publish $h hmi 7 &&
		serve $h.web $h/repo && client $h.js $h
	'
	test_expect "tuf-js finds and downloads both${extra:+ ($extra)}" '
		tufjs $h.js plant/plc/1.0.0 plant/hmi/7 plant/hmi/8 &&
		cmp plc-1.0.0 "$(jq -r ".found[\"plant/plc/1.0.0\"]" $h.js.json)" &&
		cmp hmi-7 "$(jq -r ".found[\"plant/hmi/7\"]" $h.js.json)" &&
		test_json ".root == 1 and .targets == 1 and .found[\"plant/hmi/8\"] == null" $h.js.json
	'
	test_expect "it asked by consistent names${extra:+ ($extra)}" '
		asked $h.web >asked && cat asked && hash=$(sha256sum <plc-1.0.0 | cut -c1-64) &&
		grep -Fx "404 /metadata/2.root.json" asked && grep -Fx "200 /metadata/timestamp.json" asked &&
		grep -x "200 /metadata/[0-9]*\.snapshot\.json" asked && grep -x "200 /metadata/1\.targets\.json" asked &&
		grep -x "200 /metadata/[0-9]*\.releases\.json" asked && grep -Fx "200 /targets/plant/plc/$hash.1.0.0" asked &&
		if [ -n "$extra" ]; then grep "200 /metadata/[0-9]*\.releases-bin-[0-9a-f]*\.json" asked; fi
	'
	test_expect "with nothing new it asks for root and timestamp alone${extra:+ ($extra)}" '
		tufjs $h.js && asked $h.web >asked && cat asked && test "$(wc -l <asked)" = 2 &&
		grep -Fx "404 /metadata/2.root.json" asked && grep -Fx "200 /metadata/timestamp.json" asked
	'
	test_expect "what is published and signed anew reaches it${extra:+ ($extra)}" '
		before=$(jq .snapshot $h.js.json) && publish $h plc 1.1.0 && as $h repo refresh --force &&
		tufjs $h.js plant/plc/1.0.0 plant/plc/1.1.0 plant/hmi/7 && test "$(jq .snapshot $h.js.json)" -gt "$before" &&
		cmp plc-1.1.0 "$(jq -r ".found[\"plant/plc/1.1.0\"]" $h.js.json)" && test_json ".found | all(. != null)" $h.js.json
	'
	test_expect "what is withdrawn is gone${extra:+ ($extra)}" '
		as $h artifact withdraw plant/plc/1.0.0 &&
		tufjs $h.js plant/plc/1.0.0 plant/plc/1.1.0 &&
		test_json ".found[\"plant/plc/1.0.0\"] == null and .found[\"plant/plc/1.1.0\"] != null" $h.js.json
	'
	test_expect "a second publisher from a ceremony is followed${extra:+ ($extra)}" '
		signer ci-$h && as alice ceremony delegate --root $h.out/root.json --targets $h.out/targets.json \
			--publisher "ci:lab/*/*" --key ci-$h.pub -o $h.d.request &&
		as bob ceremony sign $h.d.request --key bob --fingerprint "$(fingerprint $h.d.request)" -o $h.d.bob &&
		mkdir $h.next && as alice ceremony finish $h.d.request $h.d.bob -o $h.next &&
		as $h repo adopt $h.next/targets.json && echo ci >ci.bin &&
		as $h sign ci.bin --namespace lab --name rig --version 1 --key "$TEST_DIR/ci-$h/keys/ci-$h.key" &&
		tufjs $h.js lab/rig/1 plant/hmi/7 && test_json ".targets == 2" $h.js.json &&
		cmp ci.bin "$(jq -r ".found[\"lab/rig/1\"]" $h.js.json)"
	'
	if meshanics help --names | grep -qx "ceremony rotate"; then
		test_expect "a new root is followed, by those who know the last and by those who know the first${extra:+ ($extra)}" '
			signer dora-$h && as alice ceremony rotate --root $h.out/root.json --add-root-key dora-$h.pub \
				--remove-root-key carol.pub -o $h.r.request &&
			for who in alice bob; do
				as $who ceremony sign $h.r.request --key $who --fingerprint "$(fingerprint $h.r.request)" -o $h.r.$who ||
					return 1
			done &&
			mkdir $h.root2 && as alice ceremony finish $h.r.request $h.r.alice $h.r.bob -o $h.root2 &&
			as $h repo adopt $h.root2/root.json && tufjs $h.js plant/hmi/7 && test_json ".root == 2" $h.js.json &&
			client $h.late.js $h && tufjs $h.late.js plant/hmi/7 && test_json ".root == 2" $h.late.js.json &&
			cmp $h.late.js/root.json $h.root2/root.json
		'
	fi
	test_expect "our client says the same over the same server${extra:+ ($extra)}" '
		mkdir $h.own && meshanics tuf-client --metadata-dir $h.own init $h.out/root.json &&
		tufours $h.own plant/plc/1.1.0 lab/rig/1 && cmp plc-1.1.0 $h.own.got/plant%2Fplc%2F1.1.0 &&
		for role in root timestamp snapshot targets; do
			test "$(jq .signed.version $h.own/$role.json)" = "$(jq .$role $h.js.json)" || return 1
		done &&
		test_status 1 tufours $h.own plant/plc/1.0.0
	'
	test_expect "tuf-js refuses what has been touched, replayed or forged${extra:+ ($extra)}" '
		cp -r $h/repo $h.bad && serve $h.badweb $h.bad && client $h.bad.js $h && tufjs $h.bad.js plant/hmi/7 &&
		for f in $h.bad/targets/plant/hmi/*; do test_flip "$f" 0 || return 1; done &&
		test_status 1 tufjs $h.bad.js plant/hmi/7 2>err && grep "Expected hash" err &&
		cp $h.bad/metadata/timestamp.json $h.old && as $h repo refresh --force &&
		cp -r $h/repo/metadata $h.bad/ && tufjs $h.bad.js &&
		cp $h.old $h.bad/metadata/timestamp.json && test_status 1 tufjs $h.bad.js 2>err && grep "less than current" err &&
		sed "s/\"expires\":\"2/\"expires\":\"3/" $h/repo/metadata/timestamp.json >$h.bad/metadata/timestamp.json &&
		client $h.bad.js $h && test_status 1 tufjs $h.bad.js 2>err && grep "was signed by 0/1 keys" err
	'
	test_expect "and what has expired${extra:+ ($extra)}" '
		as $h repo refresh --timestamp-life 1s && sleep 1.2 && serve $h.web2 $h/repo &&
		test_status 1 tufjs $h.js 2>err && grep -i expired err && as $h repo refresh && tufjs $h.js
	'
}

pass hq
if meshanics repo init --help | grep -q -e --bins; then
	pass binned --bins 16
fi

test_done

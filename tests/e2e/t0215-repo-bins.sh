#!/bin/sh
# Hash bins: a repository that touches one small file for each artifact. Several publishers, all verbs, refusals.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/fleet.sh
. "$TEST_SRC/tests/e2e/fleet.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq curl

# sign FILE NAME VERSION [ARG...]
sign() {
	sign_f=$1 sign_n=$2 sign_v=$3
	shift 3
	as hq sign "$sign_f" --namespace plant --name "$sign_n" --version "$sign_v" "$@"
}
metadata() { find hq/repo/metadata -type f | sort; }
# The bin of 16 that lists plant/NAME/VERSION: the first hex digit of the path's SHA-256.
bin_of() { printf 'plant/%s/%s' "$1" "$2" | sha256sum | cut -c1; }
newest() { find hq/repo/metadata -name "*.$1.json" | sort | tail -n 1; }

test_expect 'a number that is no number of bins is refused, and nothing is made' '
	for n in 0 1 3 1000 16385 32768 -2 x; do
		test_status 2 as bad repo init --publisher "a:x/*/*" --bins "$n" || return 1
	done &&
	test_status 2 as bad repo init --publisher "a:x/*/*" --bins 1000 2>err && grep "not a power of two" err &&
	test_status 2 as bad repo init --publisher "$(printf %060d 0):x/*/*" --bins 1024 2>err && grep "at most 55 bytes" err &&
	test_status 2 as bad repo init --publisher "a:x/*/*" --publisher "a-bin-00:y/*/*" --bins 2 2>err &&
	grep "that of a hash bin" err && test ! -e bad/repo/online-keys.json
'

test_expect 'adoption makes all bins, empty, for each publisher' '
	site_up hq --bins 16 --publisher "tools:tools/*/*" && test_json ".bins == 16" hq.online.json &&
	ls hq/repo/metadata/*.releases-bin-*.json >list && test "$(wc -l <list)" = 16 &&
	ls hq/repo/metadata/*.tools-bin-?.json >list && test "$(wc -l <list)" = 16 &&
	test_json ".signed.targets == {} and .signed.delegations.succinct_roles.bit_length == 4 and
		.signed.delegations.succinct_roles.name_prefix == \"releases-bin\"" "$(newest releases)" &&
	test_json "[.signed.meta[].length] | length == 35 and all(. > 0)" "$(newest snapshot)" &&
	as hq repo verify >out && grep "2 publishers, 32 hash bins, 0 targets" out
'

test_expect 'publishing touches one bin' '
	metadata >before && echo one >one && sign one app 1.0 && metadata >after &&
	comm -13 before after >new && cat new && test "$(wc -l <new)" = 2 &&
	grep "\.releases-bin-$(bin_of app 1.0).json" new && grep "\.snapshot.json" new &&
	as hq verify one >out && grep "published as plant/app/1.0" out &&
	as hq artifact show plant/app/1.0 >out && grep "publisher  releases" out &&
	sign one app 1.0 >out && grep "published so already" out &&
	echo other >two && test_status 1 sign two app 1.0 2>err && grep "never changes" err
'

test_expect 'releases of a name rise from bin to bin' '
	last=$(as hq artifact show plant/app/1.0 --json | jq .descriptor.release) &&
	for v in 1.1 1.2 1.3 1.4 1.5 1.6; do
		sign one app $v --json >out.json && test_json ".descriptor.release > $last" out.json || return 1
		last=$(jq .descriptor.release out.json)
	done &&
	sign one app 0.9 --release 7 >out && grep "release    7\$" out
'

test_expect 'each publisher has his slice, and his bins' '
	as hq sign one --namespace tools --name drill --version 1 >out && grep "publisher  tools" out &&
	test_json ".signed.targets | has(\"tools/drill/1\")" "$(newest "tools-bin-$(printf tools/drill/1 | sha256sum | cut -c1)")" &&
	as hq artifact list >out && test "$(grep -c "  releases$" out)" = 8 && test "$(grep -c "  tools$" out)" = 1 &&
	as hq artifact list --publishers >out && grep "releases  *plant/\*/\*  *8 " out && grep "tools  *tools/\*/\*  *1 " out &&
	test_status 3 as hq sign one --namespace tools --name drill --version 2 --publisher releases &&
	test_status 3 as hq sign one --namespace nobody --name drill --version 2 2>err && grep "in no publisher.s slice" err
'

test_expect 'withdrawn is not published' '
	as hq artifact withdraw plant/app/1.1 --remove-bytes && test_status 1 as hq artifact show plant/app/1.1 &&
	test_status 1 as hq artifact withdraw plant/app/1.1 2>err && grep "not published" err &&
	test_status 1 as hq artifact withdraw plant/never/1 &&
	! ls hq/repo/targets/plant/app/*.1.1 && as hq repo verify >out && grep "8 targets" out
'

test_expect 'status has one line for the bins of a publisher' '
	as hq repo status >out && cat out && test "$(grep -c bin out)" = 2 && grep "releases-bin-.*, first of 16 .* by this box .* ok" out &&
	as hq repo status --json >out.json && test_json "[.roles[] | select(.bins == 16)] | length == 2" out.json &&
	test_json "[.publishers[] | .bins.count] == [16, 16] and ([.publishers[] | .bins.damaged] | add) == 0" out.json &&
	as hq repo refresh >out && grep "nothing is due" out &&
	as hq repo refresh --force >out && grep "signed 32 hash bins" out && as hq repo verify
'

test_expect 'a damaged bin is found, and is no matter of the others' '
	f=$(newest "releases-bin-$(bin_of app 1.0)") && cp "$f" saved && test_flip "$f" 300 &&
	test_status 3 as hq repo verify >out && grep "releases-bin-$(bin_of app 1.0).json" out &&
	test_status 1 as hq artifact show plant/app/1.0 &&
	as hq repo status --json >out.json && test_json "[.publishers[] | .bins.damaged] == [1, 0]" out.json &&
	test_status 1 as hq doctor >out; grep "1 of the 16 hash bins of .releases. are damaged" out &&
	as hq repo refresh --force >out && grep "signed 31 hash bins" out &&
	test_status 3 sign one app 1.0 2>err; cat err; cp saved "$f" && as hq repo verify && sign one app 1.0
'

test_expect 'swept bins: the newest few stay' '
	for i in 1 2 3 4 5 6 7 8 9 10; do as hq repo refresh --force >out || return 1; done &&
	test "$(ls hq/repo/metadata/*.releases-bin-0.json | wc -l)" = 9 && as hq repo verify
'

# ---- a whole fleet, and what others may send ----

far() {
	meshanics "$@" --home far --server "https://127.0.0.1:$FLEET_API" --token-file carl.token
}
api() {
	curl -sS --cacert server-ca.pem -H "Authorization: Bearer $(cat carl.token)" "$@"
}
# put ROLE FILE VERSION: as a signer who has built FILE upon VERSION; prints the status, the answer is in body.
put() {
	put_h=$(sha256sum <"$2" | cut -c1-64) &&
		api -o body -X PUT --data-binary "@$2" "https://127.0.0.1:$FLEET_API/api/v1/blobs/$put_h" &&
		api -o body -w "%{http_code}" -X PUT -H "Content-Type: application/json" \
			-d "{\"expected_version\":$3,\"file_sha256\":\"$put_h\"}" \
			"https://127.0.0.1:$FLEET_API/api/v1/repository/roles/$1"
}

test_expect 'serve with bins, and a publisher key that signs elsewhere' '
	mv hq other && fleet_site main --bins 16 && fleet_serve &&
	meshanics operator add carl --role operator --home hq --out carl.token &&
	meshanics ca show --home hq --json >ca.json &&
	jq -r ".cas[] | select(.kind == \"server\") | .certificate" ca.json >server-ca.pem &&
	mkdir -p far/keys && cp hq/repo/keys/plant.* far/keys/ &&
	far sign one --key plant --namespace plant --name far --version 1 >out && grep "publisher  plant" out &&
	test_json ".signed.targets | has(\"plant/far/1\")" "$(newest "plant-bin-$(bin_of far 1)")" &&
	far sign one --key plant --namespace plant --name far --version 2 &&
	test_json ".bins" far/published/*/plant/plant.json &&
	test_json ".bins | not" "$(echo far/published/*/plant/plant-bin-"$(bin_of far 2)".json)" &&
	far artifact withdraw plant/far/1 --key plant && far repo status >out && grep "first of 16" out &&
	meshanics repo verify --home hq >out && grep "1 target," out
'

test_expect 'the API hands out bins' '
	api -o body "https://127.0.0.1:$FLEET_API/api/v1/repository/roles/plant-bin-$(bin_of far 2)" &&
	cmp body "$(newest "plant-bin-$(bin_of far 2)")" &&
	for n in plant-bin-10 plant-bin-00 plant-bin-g plant-bin- other-bin-0 plant-bin; do
		test "$(api -o body -w "%{http_code}" "https://127.0.0.1:$FLEET_API/api/v1/repository/roles/$n")" = 404 || return 1
	done
'

test_expect 'a bin signed by another key is refused' '
	v=$(jq .signed.version "$(newest plant-bin-0)") && metadata >before &&
	f=$(find other/repo/metadata -name "*.releases-bin-0.json" | sort | tail -n 1) &&
	test "$(put plant-bin-0 "$f" "$v")" = 422 && cat body && grep "signed by 0 of the 1 keys" body &&
	metadata >after && cmp before after
'

test_expect 'a target in the wrong bin is refused, and so is one bin in the place of another' '
	here=$(bin_of far 2) && there=$(if [ "$here" = 0 ]; then echo 1; else echo 0; fi) && sleep 1 &&
	far sign one --key plant --namespace plant --name far --version 3.1 &&
	n=4 && while [ "$(bin_of far $n)" != "$here" ]; do n=$((n + 1)); done &&
	far sign one --key plant --namespace plant --name far --version $n &&
	v=$(jq .signed.version "$(newest "plant-bin-$there")") &&
	test "$(put "plant-bin-$there" "$(newest "plant-bin-$here")" "$v")" = 422 && cat body &&
	grep "does not belong to hash bin .plant-bin-$there" body
'

test_expect 'a bin cannot stand in the place of its publisher, nor he in that of a bin' '
	v=$(jq .signed.version "$(newest plant)") && here=$(bin_of far 2) &&
	test "$(put plant "$(newest "plant-bin-$here")" "$v")" = 422 && cat body && grep "publishes in 16 hash bins" body &&
	meshanics repo refresh --home hq --force && v=$(jq .signed.version "$(newest plant-bin-0)") &&
	cp "$(newest plant)" publisher && meshanics repo verify --home hq &&
	test "$(put plant-bin-0 publisher 1)" = 409
'

test_expect 'an old version of a bin is refused' '
	here=$(bin_of far 2) && cp "$(newest "plant-bin-$here")" old.json && v=$(jq .signed.version old.json) && sleep 1 &&
	n=100 && while [ "$(bin_of far $n)" != "$here" ]; do n=$((n + 1)); done &&
	far sign one --key plant --namespace plant --name far --version $n &&
	test "$(put "plant-bin-$here" old.json "$v")" = 409 &&
	v=$(jq .signed.version "$(newest "plant-bin-$here")") &&
	test "$(put "plant-bin-$here" old.json "$v")" = 422 && grep "is not above" body
'

# The device has told the highest version of the bins, which are one entry for all.
told_bins() {
	meshanics device show "press-000$1" --home hq --json | jq -e '.report.metadata["plant-bin"] > 0'
}

test_expect 'a device finds its artifact in a bin' '
	fleet_sign 1.0 && fleet_device 1 && fleet_rollout 1.0 && test_wait 60 fleet_state 1 completed &&
	fleet_current 1 "plc 1.0" &&
	test_wait 20 told_bins 1 && meshanics device show press-0001 --home hq --json >shown.json &&
	test_json ".report.metadata | keys == [\"plant\", \"plant-bin\", \"root\", \"snapshot\", \"targets\", \"timestamp\"]" shown.json &&
	fleet_sign 1.1 && fleet_rollout 1.1 && test_wait 60 fleet_state 2 completed && fleet_current 1 "plc 1.1" && test_stop agent1
'

test_expect 'the trail tells who published into which bin' '
	meshanics audit list --home hq --json >trail && grep artifact.publish trail | grep "plant-bin-" && meshanics audit verify --home hq &&
	test_stop serve && meshanics repo verify --home hq
'

test_expect 'a backup holds the bins, and serves again' '
	echo secret-secret >pass && chmod 600 pass && meshanics backup create backup --home hq --passphrase-file pass &&
	meshanics backup restore backup --home again --passphrase-file pass &&
	meshanics repo verify --home again >out && grep "16 hash bins" out &&
	meshanics artifact show plant/plc/1.1 --home again && meshanics repo status --home again
'

test_expect 'after a theft: new online keys, and a new publisher with as many empty bins' '
	meshanics repo keys rotate --home hq --publisher "plant2:plant/*/*" -o next.json && test_json ".bins == 16" next.json &&
	meshanics ceremony rotate --home off --root signed/root.json --targets signed/targets.json --online-keys next.json \
		--publisher plant2 --remove-publisher plant -o next.request &&
	digits=$(meshanics ceremony status next.request --home off --json | jq -r .request | cut -c 1-16) &&
	for who in root1 root2 targets1; do
		meshanics ceremony sign next.request --home off --key $who --fingerprint "$digits" -o next-$who.json || return 1
	done &&
	mkdir next && meshanics ceremony finish next.request next-*.json --home off -o next &&
	meshanics repo adopt --home hq next/root.json next/targets.json &&
	meshanics repo verify --home hq >out && grep "1 publisher, 16 hash bins, 0 targets" out &&
	test_status 1 meshanics artifact show plant/plc/1.1 --home hq &&
	fleet_sign 1.1 >out && grep "publisher  plant2" out && meshanics repo verify --home hq >out && grep "1 target," out &&
	test_json ".signed.meta | has(\"plant-bin-0.json\") and has(\"plant2-bin-0.json\")" "$(newest snapshot)"
'

test_done

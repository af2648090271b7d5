#!/bin/sh
# Our client updates from repositories that the models of tuf-js describe and node's crypto has signed.
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

# The file of a target as tuf-client names it: what stands between A-Za-z0-9._~- and all else.
encoded() {
	printf %s "$1" | jq -sRr @uri | sed "s/!/%21/g; s/'/%27/g; s/(/%28/g; s/)/%29/g; s/\*/%2A/g"
}

# all STATE EXPECT: what must be found is, at one go, with the content of that role; what must not be found is not.
all() {
	all_s=$1 all_e=$2 all_tab=$(printf '\t')
	set --
	while IFS=$all_tab read -r all_path all_role; do
		[ "$all_role" = - ] || set -- "$@" "$all_path"
	done <"$all_e"
	tufours "$all_s" "$@" || return 1
	while IFS=$all_tab read -r all_path all_role; do
		if [ "$all_role" = - ]; then
			test_status 1 tufours "$all_s" "$all_path" 2>err && grep "no role that may speak for target" err
		else
			echo "$all_path by $all_role" | cmp - "$all_s.got/$(encoded "$all_path")"
		fi || return 1
	done <"$all_e"
}

# Repository KIND-KEYS by the models; R is its directory, S our state with its first root.
made() {
	R=$1-$2 S=$1-$2.state
	node "$TEST_SRC/tests/interop/models.js" "$1" "$2" "$R" && serve "$R.web" "$R" && mkdir "$S" &&
		meshanics tuf-client --metadata-dir "$S" init "$R/root.json"
}

good() {
	test_expect "$1, signed with $2: $3" '
		made '"$1 $2"' && all $S $R/expect && test -s $R/expect &&
		test "$(jq .signed.version $S/timestamp.json)" = 12 && test "$(jq .signed.version $S/targets.json)" = 2 &&
		mkdir $R.js && cp $R/root.json $R.js/ && tufjs $R.js && test_json ".timestamp == 12" $R.js.json
	'
}

good flat ed25519 'one target, thresholds of one and two'
good flat ecdsa 'the same with P-256'
good flat rsa 'the same with RSA-PSS, of two salt lengths'
good paths mixed 'patterns, two delegations in order, one that terminates'
good prefixes ecdsa 'path_hash_prefixes'
good bins ed25519 'succinct_roles, 32 bins'
good plain rsa 'no consistent snapshots'
good roots mixed 'seven roots, other keys in each, a new timestamp key on the way'
good unknown mixed 'unknown members everywhere, and custom'
good unicode ed25519 'names beyond ASCII'

test_expect 'the roots were asked for once by each client, and the last one is held' '
	asked roots-mixed.web >asked && grep -c "200 /metadata/[2-7].root.json" asked | grep -x 12 &&
	grep "404 /metadata/8.root.json" asked && cmp roots-mixed.state/root.json roots-mixed/metadata/7.root.json
'

# refuses KIND KEYS FILE SED WORDS WHEN: a fresh client, one file changed on the server.
refuses() {
	test_expect "$1, signed with $2: refused when $6" '
		rm -rf bad bad.state && cp -r '"$1-$2"' bad && serve bad.web bad && mkdir bad.state &&
		meshanics tuf-client --metadata-dir bad.state init bad/root.json && tufours bad.state hello.txt &&
		rm -rf bad.state bad.state.got && mkdir bad.state && meshanics tuf-client --metadata-dir bad.state init bad/root.json &&
		f=$(ls bad/'"$3"') && cp "$f" before && sed -i '"'$4'"' "$f" && ! cmp -s "$f" before &&
		test_status 1 tufours bad.state hello.txt 2>err && cat err && grep '"'$5'"' err && test ! -e bad.state.got/hello.txt
	'
}

for keys in ed25519 ecdsa rsa; do
	refuses flat $keys metadata/timestamp.json 's/"version": 12/"version": 13/' \
		'timestamp: signed by 0 of the 1' 'the timestamp is another'
	refuses flat $keys metadata/timestamp.json 's/\("sig": ".\{40\}\)./\1x/' \
		'timestamp: signed by 0 of the 1' 'a signature is no hex'
done
refuses flat ed25519 metadata/2.targets.json 's/"version": 2/"version": 3/' '5.6.2' 'targets are others'
refuses flat ed25519 'targets/*.hello.txt' 's/hello/hullo/' \
	'its hash is not the one that is signed' 'the target is another'
refuses roots mixed metadata/5.root.json 's/"version": 5/"version": 6/' 'root has version 6 where 5' 'a root on the way skips'
refuses roots mixed metadata/5.root.json 's/"expires": "2/"expires": "3/' \
	'root by the trusted root.s keys: signed by 0 of the 2' 'a root on the way is another'

test_done

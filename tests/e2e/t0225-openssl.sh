#!/bin/sh
# openssl and ssh-keygen alone verify all that a repository has signed, with keys that are found in the metadata.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq openssl sha256sum ssh-keygen xxd

# Canonical JSON of what FILTER finds in FILE: jq sorts, and escapes the line ends of PEM, which canonical JSON does not.
canonical() {
	jq -Sjc "$1" "$2" | sed 's/\\n/\n/g'
}

# verified KEYS FILE: each signature of FILE, by the key of that id in the JSON object KEYS; a line of scheme for each.
verified() {
	canonical .signed "$2" >body && { cat body && printf x; } >other || return 1
	for id in $(jq -r '.signatures[].keyid' "$2"); do
		jq -r ".signatures[] | select(.keyid == \"$id\").sig" "$2" | xxd -r -p >sig &&
			test "$(canonical ".[\"$id\"]" "$1" | sha256sum | cut -c1-64)" = "$id" || return 1
		scheme=$(jq -r ".[\"$id\"].scheme" "$1")
		case $scheme in
		ed25519)
			(echo 302a300506032b6570032100; jq -r ".[\"$id\"].keyval.public" "$1") | tr -d '\n' | xxd -r -p >der &&
				openssl pkey -pubin -inform DER -in der -out pem &&
				openssl pkeyutl -verify -rawin -pubin -inkey pem -in body -sigfile sig &&
				! openssl pkeyutl -verify -rawin -pubin -inkey pem -in other -sigfile sig || return 1
			;;
		ecdsa-sha2-nistp256)
			jq -r ".[\"$id\"].keyval.public" "$1" >pem &&
				openssl dgst -sha256 -verify pem -signature sig body &&
				! openssl dgst -sha256 -verify pem -signature sig other || return 1
			;;
		*) return 1 ;;
		esac >openssl.out 2>&1
		echo "$scheme"
	done
}

p256() {
	as "$1" key generate "$1" --unsealed --quiet --scheme ecdsa-sha2-nistp256 && cp "$1/keys/$1.pub" "$1.pub"
}

test_expect 'a site with signers of both kinds, and a publisher with P-256' '
	signer alice && p256 erin && p256 ci && site_init hq &&
	as alice ceremony new --online-keys hq.online.json --root-key alice.pub --root-key erin.pub --root-threshold 2 \
		--targets-key erin.pub --targets-key alice.pub --targets-threshold 2 -o request.json &&
	for who in alice erin; do
		as $who ceremony sign request.json --key $who --fingerprint "$(fingerprint request.json)" -o $who.answer || return 1
	done &&
	mkdir first && as alice ceremony finish request.json alice.answer erin.answer -o first &&
	as hq repo adopt first/root.json first/targets.json &&
	as alice ceremony delegate --root first/root.json --targets first/targets.json --publisher "ci:lab/*/*" --key ci.pub -o next.json &&
	for who in alice erin; do
		as $who ceremony sign next.json --key $who --fingerprint "$(fingerprint next.json)" -o $who.next || return 1
	done &&
	mkdir next && as alice ceremony finish next.json alice.next erin.next -o next && as hq repo adopt next/targets.json &&
	echo plc >plc && as hq sign plc --namespace plant --name plc --version 1 &&
	echo rig >rig && as hq sign rig --namespace lab --name rig --version 1 --key "$TEST_DIR/ci/keys/ci.key" &&
	cp -r hq/repo/metadata m && jq .signed.keys m/1.root.json >root.keys && jq .signed.delegations.keys m/2.targets.json >targets.keys
'

test_expect 'root and targets: every signature, over the canonical form, by a key whose id is its hash' '
	verified root.keys m/1.root.json >out && sort out | tr "\n" " " | grep -x "ecdsa-sha2-nistp256 ed25519 " &&
	verified root.keys m/1.targets.json >out && test "$(wc -l <out)" = 2 &&
	verified root.keys m/2.targets.json >out && test "$(wc -l <out)" = 2
'

test_expect 'snapshot and timestamp, by the online keys that root lists' '
	for f in m/timestamp.json m/*.snapshot.json; do
		verified root.keys "$f" >out && test "$(cat out)" = ed25519 || return 1
	done
'

test_expect 'publishers, by the keys that targets lists for them' '
	for f in m/*.releases.json; do
		verified targets.keys "$f" >out && test "$(cat out)" = ed25519 || return 1
	done &&
	for f in m/*.ci.json; do
		verified targets.keys "$f" >out && test "$(cat out)" = ecdsa-sha2-nistp256 || return 1
	done
'

test_expect 'a signature by a key under another id is no match' '
	jq "with_entries(.value.scheme = \"ed25519 \")" root.keys >odd.keys && ! verified odd.keys m/1.root.json &&
	! verified targets.keys m/1.root.json
'

test_expect 'lengths and hashes all the way down are those of sha256sum and wc' '
	snapshot=$(ls m/*.snapshot.json | sort -V | tail -n 1) &&
	test_json ".signed.meta[\"snapshot.json\"].version == $(jq .signed.version "$snapshot")" m/timestamp.json &&
	for role in $(jq -r ".signed.meta | keys[]" "$snapshot"); do
		f=m/$(jq ".signed.meta[\"$role\"].version" "$snapshot").$role && test -s "$f" &&
		jq -r ".signed.meta[\"$role\"] | (.length // empty), (.hashes.sha256 // empty)" "$snapshot" >said &&
		{ ! grep -q . said || { wc -c <"$f" && sha256sum <"$f" | cut -c1-64; } | cmp - said; } || return 1
	done &&
	test_json ".signed.targets[\"lab/rig/1\"] | .length == 4 and .hashes.sha256 == \"$(sha256sum <rig | cut -c1-64)\"" \
		"$(ls m/*.ci.json | sort -V | tail -n 1)"
'

test_expect 'ssh-keygen verifies the detached signature of a P-256 publisher, and nothing else' '
	as ci key export --format allowed-signers --identity ci ci >signers && cat signers &&
	ssh-keygen -Y verify -f signers -I ci -n meshanics-artifact -s rig.sig <rig &&
	ssh-keygen -Y check-novalidate -n meshanics-artifact -s rig.sig <rig | grep ECDSA &&
	! ssh-keygen -Y verify -f signers -I ci -n meshanics-artifact -s rig.sig <plc &&
	! ssh-keygen -Y verify -f signers -I ci -n meshanics-bundle -s rig.sig <rig &&
	! ssh-keygen -Y verify -f signers -I ci -n meshanics-artifact -s plc.sig <plc &&
	test "$(ssh-keygen -Y find-principals -f signers -s rig.sig)" = ci
'

test_done

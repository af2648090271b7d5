#!/bin/sh
# Public keys in the hands of openssl and OpenSSH.
. "$(dirname "$0")/lib.sh"
test_need jq openssl ssh-keygen xxd

MESHANICS_HOME=$TEST_DIR/home
export MESHANICS_HOME

# The secret of an unsealed key as openssl reads it: PKCS#8 of RFC 8410, SEC1 of RFC 5915.
ed25519_pkcs8() {
	{ printf '\060\056\002\001\000\060\005\006\003\053\145\160\004\042\004\040'; jq -r .secret "$1" | xxd -r -p; } |
		openssl pkey -inform DER
}
p256_sec1() {
	{ printf '\060\061\002\001\001\004\040'; jq -r .secret "$1" | xxd -r -p
	printf '\240\012\006\010\052\206\110\316\075\003\001\007'; } | openssl pkey -inform DER
}

test_expect 'keys are made' '
	meshanics key generate --unsealed --comment "release key" ed &&
	meshanics key generate --unsealed --scheme ecdsa-sha2-nistp256 ec
'
test_expect 'openssl derives the same public keys from the secrets' '
	ed25519_pkcs8 home/keys/ed.key >ed.pem && p256_sec1 home/keys/ec.key >ec.pem &&
	openssl pkey -in ed.pem -pubout | cmp - home/keys/ed.pub &&
	openssl pkey -in ec.pem -pubout | cmp - home/keys/ec.pub
'
test_expect 'openssl verifies with the exported PEM' '
	meshanics key export ed >ed.pub && meshanics key export ec >ec.pub && echo hello >msg &&
	openssl pkeyutl -sign -rawin -inkey ed.pem -in msg -out ed.sig &&
	openssl pkeyutl -verify -rawin -pubin -inkey ed.pub -in msg -sigfile ed.sig &&
	openssl dgst -sha256 -sign ec.pem -out ec.sig msg &&
	openssl dgst -sha256 -verify ec.pub -signature ec.sig msg
'
test_expect 'OpenSSH reads the ssh line and finds the same fingerprint' '
	meshanics key export --format ssh ed >ed.ssh && grep "release key$" ed.ssh && ssh-keygen -l -f ed.ssh &&
	meshanics key export --format ssh ec >ec.ssh && grep " ec$" ec.ssh &&
	ssh-keygen -e -m PKCS8 -f ec.ssh | cmp - home/keys/ec.pub
'
test_expect 'OpenSSH takes the allowed-signers line, for our namespaces alone' '
	openssl pkey -in ec.pem -out ec.key && chmod 600 ec.key && ssh-keygen -y -f ec.key >ec.key.pub &&
	meshanics key export --format allowed-signers --identity release@example ec >signers &&
	ssh-keygen -Y sign -f ec.key -n meshanics-artifact msg && mv msg.sig good.sig &&
	ssh-keygen -Y verify -f signers -I release@example -n meshanics-artifact -s good.sig <msg &&
	ssh-keygen -Y sign -f ec.key -n file msg && mv msg.sig file.sig &&
	! ssh-keygen -Y verify -f signers -I release@example -n file -s file.sig <msg &&
	! ssh-keygen -Y verify -f signers -I somebody -n meshanics-artifact -s good.sig <msg
'
test_expect 'the tuf form is the key object and nothing else' '
	meshanics key export --format tuf ed >out &&
	test_json "keys == [\"keytype\", \"keyval\", \"scheme\"]" out &&
	meshanics key show --json ed | jq -S .key >want && jq -S . out | cmp want -
'
test_expect 'json carries the same text' '
	for f in pem ssh allowed-signers tuf; do
		meshanics key export --format $f ed >want && meshanics key export --format $f ed --json >out &&
		jq -j .text out | cmp - want || return 1
	done
'
test_expect 'formats and identities that make no sense are refused' '
	test_status 2 meshanics key export --format der ed 2>err && grep "pem, ssh" err &&
	test_status 2 meshanics key export --identity me ed 2>err &&
	for who in "" "a b" "a,b" "*" "!x" "#x" "$(printf "a\nb")"; do
		test_status 2 meshanics key export --format allowed-signers --identity "$who" ed 2>err || return 1
	done
'
test_expect 'no export needs, or shows, the secret' '
	for f in pem ssh allowed-signers tuf; do meshanics key export --format $f ed --json; done >out &&
	! grep "$(jq -r .secret home/keys/ed.key)" out
'
test_done

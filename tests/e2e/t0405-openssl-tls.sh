#!/bin/sh
# TLS between serve and openssl where both must use P-256: key exchange and signatures, over each hash there is.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/fleet.sh
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need curl jq openssl

# talk PORT [ARG...]: one handshake by openssl and a request; the answer in out, what openssl tells of the handshake in err.
talk() {
	port=$1
	shift
	printf 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' |
		timeout 30 openssl s_client -connect "127.0.0.1:$port" -CAfile server-ca.pem -verify_return_error -ign_eof "$@" \
			>out 2>err
	grep "HTTP/1.1 [0-9]" out
}

# A device whose key openssl has made: device.pem, device.key.
openssl_device() {
	meshanics enroll token create --home hq --root signed/root.json --name-prefix press --out token &&
		openssl ecparam -name prime256v1 -genkey -noout -out device.key &&
		openssl req -new -key device.key -sha256 -subj "/CN=press" -outform DER -out device.csr || return 1
	jq -n --arg t "$(cat token)" --arg c "$(base64 -w0 device.csr)" '{token: $t, csr: $c, hostname: "press"}' >body &&
		curl -sS --cacert server-ca.pem -H 'Content-Type: application/json' --data-binary @body -o answer.json \
			"https://127.0.0.1:$FLEET_ENROLL/enroll" &&
		jq -r .certificate answer.json | base64 -d | openssl x509 -inform DER -out device.pem
}

test_expect 'a site and its doors, and a device whose key openssl has made' '
	fleet_site && fleet_serve &&
	meshanics ca show --home hq --json >ca.json &&
	jq -r ".cas[] | select(.kind == \"server\") | .certificate" ca.json >server-ca.pem && openssl_device
'
for hash in SHA256 SHA384 SHA512; do
	test_expect "key exchange on P-256, the server signs over $hash" '
		for n in 1 2 3 4 5; do
			talk $FLEET_API -groups P-256 -sigalgs ECDSA+$hash || return 1
			grep "Server Temp Key: ECDH, prime256v1, 256 bits" out && grep "Peer signing digest: $hash" out || return 1
		done
	'
	test_expect "the client of a device signs over $hash" '
		for n in 1 2 3 4 5; do
			talk $FLEET_DEVICE -groups P-256 -client_sigalgs ECDSA+$hash -cert device.pem -key device.key || return 1
		done
	'
done

test_done

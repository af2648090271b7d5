#!/bin/sh
# Enrolment, renewal and revocation against a running control plane, with curl and openssl as the device: what a
# second implementation of man/meshanics-api.5 gets, and what it is refused.
. "$(dirname "$0")/lib.sh"
test_need curl openssl jq
MESHANICS_HOME=$TEST_DIR/home
export MESHANICS_HOME

# What a device says of itself when it registers.
self='{"instance":"0123456789abcdef","agent":"0.1.0","profile":{}}'

passphrase() { printf 'correct horse battery staple\n' >pass && chmod 600 pass; }

# start_serve [TEST_AT]: with the clock where it is, or elsewhere; ports go to ready.json.
start_serve() {
	rm -f ready.json
	test_start serve env ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0" ${1:+"$test_own_clock" faketime -f "$1"} meshanics serve --public-name 127.0.0.1 --api-listen 127.0.0.1:0 \
		--repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0 \
		--ready-file ready.json &&
		test_wait 20 test -s ready.json &&
		enroll=https://127.0.0.1:$(jq .enroll_port ready.json) &&
		device=https://127.0.0.1:$(jq .device_port ready.json) &&
		api=https://127.0.0.1:$(jq .api_port ready.json)
}

# The process itself, for faketime stands between; the answer is its status.
stop_serve() {
	kill "$(jq .pid ready.json)" && wait "$(cat serve.pid)"
}

# request NAME: a key and a request by openssl, if there is none: NAME.pem, NAME.csr (DER).
request() {
	[ -e "$1.pem" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$1.pem" || return 1
	[ -e "$1.csr" ] || openssl req -new -key "$1.pem" -sha256 -subj "/CN=$1" -outform DER -out "$1.csr"
}

# post STATUS URL JSON [CURL OPTIONS]: the answer in answer.json.
post() {
	post_want=$1 post_url=$2 post_body=$3
	shift 3
	post_got=$(curl -s --max-time 20 --cacert server-ca.pem -H 'Content-Type: application/json' \
		--data-binary "$post_body" -o answer.json -w '%{http_code}' "$@" "$post_url")
	[ "$post_got" = "$post_want" ] && return 0
	echo "status $post_got instead of $post_want" && cat answer.json
	return 1
}

# join STATUS TOKEN NAME [HOSTNAME]: enrol with NAME.csr; NAME.crt on success.
join() {
	post "$1" "$enroll/enroll" "$(jq -n --arg t "$(cat "$2")" --arg c "$(base64 -w0 "$3.csr")" --arg h "${4:-$3}" \
		'{token: $t, csr: $c, hostname: $h}')" || return 1
	[ "$1" != 200 ] || keep "$3"
}

keep() {
	jq -r .certificate answer.json | base64 -d >"$1.der" &&
		openssl x509 -inform DER -in "$1.der" -out "$1.crt"
}

# call STATUS NAME PATH JSON: as the device with NAME.crt and NAME.pem.
call() {
	post "$1" "$device$3" "$4" --cert "$2.crt" --key "$2.pem"
}

# One registration, as bytes on a connection that stays.
hello() {
	printf 'POST /device/register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n'
	printf 'Content-Length: %d\r\n\r\n%s' ${#self} "$self"
}

test_expect 'a control plane is set up' '
	passphrase &&
	mkdir offline ceremony &&
	for k in root targets; do
		meshanics --home offline key generate --passphrase-file pass $k || return 1
	done &&
	meshanics repo init --output online-keys.json &&
	meshanics ceremony new --online-keys online-keys.json --root-key offline/keys/root.pub \
		--targets-key offline/keys/targets.pub --output request.json >summary &&
	print=$(sed -n "s/^ *fingerprint *\([0-9a-f]\{16\}\).*/\1/p" summary) &&
	for k in root targets; do
		meshanics --home offline ceremony sign --key $k --passphrase-file pass \
			--fingerprint "$print" --output $k.answer request.json || return 1
	done &&
	meshanics ceremony finish --output ceremony request.json root.answer targets.answer &&
	root=$(echo ceremony/*root*.json) &&
	meshanics repo adopt ceremony/*.json &&
	meshanics ca init &&
	meshanics ca show --certificate server >server-ca.pem &&
	meshanics ca show --certificate device >device-ca.pem &&
	start_serve
'

test_expect 'a running serve puts its own address into the token' '
	meshanics enroll token create --root "$root" --note "the first" --out first.token >id &&
	test "$(stat -c %a first.token)" = 600 &&
	meshanics enroll token list >list && cat list &&
	grep "$(cat id) .*live .*1 of 1 .*the first" list &&
	! grep mtk1 list
'

test_expect 'a token is refused for a root that is not served' '
	sed "s/.$/ /" "$root" >other.json && printf "\n" >>other.json &&
	test_status 3 meshanics enroll token create --root other.json 2>err &&
	grep "another file\|root metadata" err &&
	test_status 3 meshanics enroll token create --root request.json 2>err &&
	test_status 2 meshanics enroll token create 2>err &&
	test_status 2 meshanics enroll token create --root "$root" --device a --name-prefix b
'

test_expect 'openssl accepts the certificate under its strictest rules' '
	request press &&
	join 200 first.token press "Press 3.plant.example" &&
	test_json ".device == \"press-3\" and .site == \"main\"" answer.json &&
	test_json ".device_url == \"$device\"" answer.json &&
	openssl verify -x509_strict -purpose sslclient -CAfile device-ca.pem press.crt &&
	! openssl verify -purpose sslserver -CAfile device-ca.pem press.crt &&
	! openssl verify -CAfile server-ca.pem press.crt &&
	openssl x509 -in press.crt -noout -ext subjectAltName | grep "URI:urn:meshanics:main:device:press-3"
'

test_expect 'the answer carries the root, byte for byte' '
	jq -r .root answer.json | base64 -d | cmp - "$root"
'

test_expect 'the same token and key get the same certificate once more' '
	cp press.der before &&
	join 200 first.token press &&
	cmp before press.der
'

test_expect 'another key does not: the token is used up' '
	request thief &&
	join 422 first.token thief &&
	test_json ".error.kind == \"refused\" and (.error.text | test(\"used up\"))" answer.json
'

test_expect 'revoked, mistyped, forged and foreign tokens are refused' '
	meshanics enroll token create --root "$root" --out second.token >id &&
	meshanics enroll token revoke "$(cat id)" &&
	join 422 second.token thief &&
	test_json ".error.text | test(\"was revoked\")" answer.json &&
	sed "s/....$/AAAA/" first.token >typo.token &&
	join 400 typo.token thief &&
	test_json ".error.text | test(\"checksum\")" answer.json &&
	printf "mtk1" >short.token &&
	join 400 short.token thief &&
	MESHANICS_HOME=other meshanics ca init --site other >out &&
	test_status 1 env MESHANICS_HOME=other meshanics enroll token create --root "$root" --url https://127.0.0.1 2>err &&
	grep "no repository" err
'

test_expect 'a request may not ask for the name of another, be a CA, or be signed by another key' '
	for bad in "subjectAltName=URI:urn:meshanics:main:device:press-3" "basicConstraints=critical,CA:TRUE"; do
		meshanics enroll token create --root "$root" >bad.token &&
		openssl req -new -key thief.pem -sha256 -subj /CN=x -addext "$bad" -outform DER -out forged.csr &&
		join 422 bad.token forged || return 1
	done &&
	meshanics enroll token create --root "$root" >bad.token &&
	cp thief.csr tampered.csr && test_flip tampered.csr $(($(wc -c <tampered.csr) - 3)) &&
	join 422 bad.token tampered &&
	meshanics enroll token create --root "$root" >bad.token &&
	openssl ecparam -name secp384r1 -genkey -noout -out p384.pem &&
	openssl req -new -key p384.pem -sha256 -subj /CN=x -outform DER -out p384.csr &&
	join 422 bad.token p384 &&
	join 422 bad.token thief &&
	test_json ".error.text | test(\"used up\")" answer.json
'

test_expect 'the certificate opens the device listener; nothing else does' '
	call 200 press /device/register "$self" &&
	test_json ".device == \"press-3\"" answer.json &&
	! post 200 "$device/device/register" "{}" &&
	openssl ecparam -name prime256v1 -genkey -noout -out evil-ca.pem &&
	openssl req -x509 -new -key evil-ca.pem -sha256 -days 30 -subj "/O=main/CN=meshanics device CA" -out evil-ca.crt &&
	openssl req -new -key thief.pem -subj /CN=press-3 -out thief.req &&
	openssl x509 -req -in thief.req -CA evil-ca.crt -CAkey evil-ca.pem -days 9 -out evil.crt 2>/dev/null &&
	cp thief.pem evil.pem &&
	! call 200 evil /device/register "$self"
'

test_expect 'renewal gives a new certificate under a new key; both hold for a day' '
	request renewed &&
	call 200 press /device/renew "{\"csr\":\"$(base64 -w0 renewed.csr)\"}" &&
	keep renewed &&
	openssl verify -x509_strict -purpose sslclient -CAfile device-ca.pem renewed.crt &&
	call 200 renewed /device/register "$self" &&
	test_json ".device == \"press-3\"" answer.json &&
	call 200 press /device/register "$self" &&
	call 422 renewed /device/renew "{\"csr\":\"$(base64 -w0 tampered.csr)\"}"
'

test_expect 'a token for a name takes the name, and revokes who had it' '
	meshanics enroll token create --root "$root" --device press-3 --tag line-1 >name.token &&
	request board &&
	join 200 name.token board other-host &&
	test_json ".device == \"press-3\"" answer.json &&
	call 200 board /device/register "$self" &&
	call 403 press /device/register "$self" &&
	test_json ".error.text | test(\"revoked\")" answer.json &&
	call 403 renewed /device/renew "{\"csr\":\"$(base64 -w0 renewed.csr)\"}"
'

test_expect 'prefixed names count, and the budget is kept' '
	meshanics enroll token create --root "$root" --name-prefix cell-7 --uses 2 >cell.token &&
	for n in 1 2; do
		request cell$n && join 200 cell.token cell$n &&
		test_json ".device == \"cell-7-000$n\"" answer.json || return 1
	done &&
	join 422 cell.token thief
'

test_expect 'revocation reaches a connection that is open' '
	rm -f go end && mkfifo talk || return 1
	{
		hello
		test_wait 20 test -e go
		hello
		test_wait 20 test -e end
	} >talk &
	talker=$!
	timeout 60 openssl s_client -connect "${device#https://}" -cert board.crt -key board.pem -CAfile server-ca.pem \
		-quiet -verify_return_error <talk >heard 2>err &
	listener=$!
	test_wait 20 grep -q "HTTP/1.1 200" heard &&
	meshanics device revoke --reason "stolen from the yard" press-3 &&
	touch go &&
	test_wait 20 grep -q "HTTP/1.1 403" heard &&
	grep "stolen from the yard" heard
	r=$?
	touch go end
	wait $talker $listener
	return $r
'

test_expect 'a revoked device neither works nor renews; revoking again changes nothing' '
	call 403 board /device/register "$self" &&
	call 403 board /device/renew "{\"csr\":\"$(base64 -w0 board.csr)\"}" &&
	meshanics device revoke press-3 >out &&
	grep "0 live certificates" out &&
	test_status 1 meshanics device revoke nobody
'

test_expect 'operators come over the network as far as their role goes' '
	meshanics operator add --role viewer --out viewer.token vera &&
	meshanics operator add --role operator --out operator.token otto &&
	meshanics enroll token list --all --server "$api" --token-file viewer.token >list &&
	grep "used" list &&
	test_status 3 meshanics device revoke --server "$api" --token-file viewer.token cell-7-0001 2>err &&
	grep "the role .viewer. lacks the permission .device.revoke." err &&
	test_status 3 meshanics operator add --role admin --server "$api" --token-file operator.token eve 2>err &&
	grep "operator.write" err &&
	meshanics device revoke --server "$api" --token-file operator.token cell-7-0001 &&
	call 403 cell1 /device/register "$self" &&
	call 200 cell2 /device/register "$self"
'

test_expect 'a token of another control plane, a revoked one and a readable file are refused' '
	env MESHANICS_HOME=other meshanics operator add --role admin --out foreign.token eve &&
	test_status 3 meshanics ca show --server "$api" --token-file foreign.token 2>err &&
	cat err &&
	meshanics operator revoke vera &&
	test_status 3 meshanics ca show --server "$api" --token-file viewer.token 2>err &&
	grep "was revoked" err &&
	chmod 644 operator.token &&
	test_status 3 meshanics ca show --server "$api" --token-file operator.token &&
	test_status 2 meshanics ca show --server "$api" &&
	test "$(curl -s --cacert server-ca.pem -o answer.json -w "%{http_code}" "$api/api/v1/tokens")" = 401
'

test_expect 'the audit trail tells it all, without a secret' '
	stop_serve &&
	meshanics audit export >trail &&
	grep -c "device.enroll" trail &&
	grep -q "stolen from the yard" trail &&
	grep -q "operator:otto" trail &&
	! grep "mtk1\|mop1" trail &&
	meshanics audit verify
'

if command -v faketime >/dev/null; then
	test_expect 'after its end a certificate renews within the grace, and does nothing else' '
		start_serve +100d && meshanics repo refresh --accept-clock --force &&
		curl() { "$test_own_clock" faketime -f +100d curl "$@"; } &&
		call 403 cell2 /device/register "$self" &&
		test_json ".error.text | test(\"ended at\")" answer.json &&
		request late &&
		call 200 cell2 /device/renew "{\"csr\":\"$(base64 -w0 late.csr)\"}" &&
		keep late && call 200 late /device/register "$self"
		r=$?
		unset -f curl
		stop_serve && return $r
	'
	test_expect 'beyond the grace it does not' '
		start_serve +230d &&
		curl() { "$test_own_clock" faketime -f +230d curl "$@"; } &&
		call 403 late /device/renew "{\"csr\":\"$(base64 -w0 late.csr)\"}" &&
		test_json ".error.hint | test(\"--device cell-7-0002\")" answer.json
		r=$?
		unset -f curl
		stop_serve && return $r
	'
else
	test_skip 'after its end a certificate renews within the grace' 'faketime is not installed'
fi

test_done

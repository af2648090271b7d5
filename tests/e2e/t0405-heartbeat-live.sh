#!/bin/sh
# Heartbeats on connections that stay open: each sees what was answered before it was sent, however often the same was
# answered from memory; and other connections of the device beat all the while.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need curl openssl jq mkfifo

# newcomer NAME: enrols with a key by openssl: NAME.pem, NAME.crt.
newcomer() {
	rm -f "$1.token"
	meshanics enroll token create --home hq --root signed/root.json --device "$1" --out "$1.token" >/dev/null &&
		openssl ecparam -name prime256v1 -genkey -noout -out "$1.pem" &&
		openssl req -new -key "$1.pem" -sha256 -subj "/CN=$1" -outform DER -out "$1.csr" &&
		curl -sS --cacert server-ca.pem -H 'Content-Type: application/json' -o "$1.json" "https://127.0.0.1:$FLEET_ENROLL/enroll" \
			-d "{\"token\":\"$(cat "$1.token")\",\"csr\":\"$(base64 -w0 "$1.csr")\",\"hostname\":\"$1\"}" &&
		jq -r .certificate "$1.json" | base64 -d | openssl x509 -inform DER -out "$1.crt"
}

# live LINK NAME: a connection of this device, fed through the pipe LINK.in.
live() {
	mkfifo "$1.in" && : >"$1.out" &&
		test_start "$1" sh -c "exec openssl s_client -quiet -connect 127.0.0.1:$FLEET_DEVICE -CAfile server-ca.pem \
			-verify_return_error -cert $2.crt -key $2.pem <$1.in >$1.out 2>$1.err"
}

# say LINK BODY: a heartbeat, as bytes.
say() {
	printf 'POST /device/heartbeat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s' ${#2} "$2" >"$1.in"
}

# answers LINK: how many have come to their end; each ends with a brace of the outermost object.
answers() { tr -d '\r' <"$1.out" | sed 's/HTTP\/1.1 /\n&/g' | grep -c '^{.*}$'; }
answered() { test "$(answers "$1")" -ge "$2"; }

# beat LINK [BODY]: one heartbeat and its answer: STATUS and the body in answer.
beat() {
	beat_n=$(($(answers "$1") + 1))
	say "$1" "${2:-{\"agent_version\":\"1\",\"metadata\":{\"root\":1\},\"artifacts\":[]\}}" &&
		test_wait 20 answered "$1" $beat_n || return 1
	tr -d '\r' <"$1.out" | sed 's/HTTP\/1.1 /\n&/g' | grep '^{.*}$' | tail -n 1 >answer
	STATUS=$(tr -d '\r' <"$1.out" | sed 's/HTTP\/1.1 /\n&/g' | sed -n 's/^HTTP\/1.1 \([0-9]*\).*/\1/p' | tail -n 1)
}

# desired LINK FILTER: what the next heartbeat is told; always the same heartbeat, three of them.
desired() {
	for desired_i in 1 2 3; do
		beat "$1" && test "$STATUS" = 200 && test_json ".desired | $2" answer && continue
		echo "heartbeat $desired_i:" && cat answer
		return 1
	done
}

# status JSON: a transition of press, on a connection of its own.
status() {
	test "$(curl -sS --cacert server-ca.pem --cert press.crt --key press.pem -o status.json -w '%{http_code}' \
		"https://127.0.0.1:$FLEET_DEVICE/device/status" -d "$1")" = 200
}

test_expect 'a control plane with two devices, each with a connection that stays' '
	FLEET_HEARTBEAT=60s && fleet_site && fleet_serve && fleet_sign 1 && fleet_sign 2 &&
	meshanics ca show --home hq --certificate server >server-ca.pem &&
	newcomer press && newcomer lathe && live one press && live two lathe &&
	exec 7>one.in 8>two.in
'
test_expect 'the same heartbeat gets the same answer but for the jitter' '
	desired one "length == 0" && desired two "length == 0" &&
	i=0 && : >intervals && while [ $i -lt 15 ]; do
		beat one && jq .interval_s answer >>intervals || return 1
		i=$((i + 1))
	done &&
	test "$(sort -u intervals | wc -l)" -gt 1 && test "$(sort -n intervals | head -n 1)" -ge 54 &&
	test "$(sort -n intervals | tail -n 1)" -le 60
'
test_expect 'it is what the device is seen by' '
	reported() { meshanics device show press --home hq --json >shown && test_json ".report.metadata.root == 1" shown; } &&
	test_wait 20 reported && before=$(jq .last_seen shown) && sleep 1.1 && beat one &&
	seen() { meshanics device show press --home hq --json >shown && test "$(jq .last_seen shown)" != "$before"; } &&
	test_wait 20 seen
'
test_expect 'a connection beats on its own meanwhile' '
	live noise press && exec 9>noise.in &&
	test_start pump sh -c "while printf \"POST /device/heartbeat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}\" >noise.in; do sleep 0.02; done" &&
	test_wait 20 answered noise 3
'
test_expect 'a new assignment is in the next answer, and so are its pause and its end' '
	desired one "length == 0" &&
	meshanics rollout create plant/plc/1 --home hq --device press --waves 100 && desired one ".[0].path == \"plant/plc/1\"" &&
	desired two "length == 0" &&
	meshanics rollout pause 1 --home hq && desired one "length == 0" &&
	meshanics rollout resume 1 --home hq && desired one "length == 1" &&
	a=$(jq ".desired[0].assignment" answer) &&
	status "{\"instance\":\"0123456789abcdef\",\"assignment\":$a,\"seq\":1,\"path\":\"plant/plc/1\",\"state\":\"failed\",\"reason\":\"\",\"at\":\"2026-11-28T00:00:00Z\"}" &&
	desired one "length == 0"
'
test_expect 'a rollout to all reaches both, and its abort with revert as well' '
	meshanics rollout create plant/plc/2 --home hq --all --waves 100 &&
	desired one ".[0].action == \"install\"" && desired two ".[0].path == \"plant/plc/2\"" &&
	meshanics rollout abort 2 --home hq --revert && desired one ".[0].action == \"revert\"" && desired two ".[0].action == \"revert\""
'
test_expect 'ten changes, each in the very next answer' '
	i=0 && while [ $i -lt 5 ]; do
		meshanics rollout create plant/plc/2 --home hq --device press --waves 100 >created &&
			beat one && test_json ".desired[0].action == \"install\"" answer &&
			meshanics rollout abort $((i + 3)) --home hq --keep && beat one &&
			test_json "[.desired[] | select(.action == \"install\")] == []" answer || return 1
		i=$((i + 1))
	done
'
test_expect 'other words are looked at, bad ones refused, and the connection goes on' '
	beat one "{\"agent_version\":\"1\",\"metadata\":{\"root\":2},\"artifacts\":[]}" && test "$STATUS" = 200 &&
	beat one "{\"agent_version\":\"1\",\"metadata\":{\"root\":2},\"artifacts\":[" && test "$STATUS" = 400 &&
	beat one "{\"metadata\":{\"root\":-1}}" && test "$STATUS" = 400 &&
	beat one "{\"agent_version\":\"1\",\"metadata\":{\"root\":3},\"artifacts\":[]}" && test "$STATUS" = 200 &&
	test_json "[.desired[] | select(.action == \"install\")] == []" answer
'
test_expect 'a revoked device is refused by the next answer of a live connection' '
	desired one "length == 0" && meshanics device revoke press --home hq --reason stolen && beat one &&
	test "$STATUS" = 403 && test_json ".error.text | test(\"revoked: stolen\")" answer &&
	beat one && test "$STATUS" = 403 && desired two ".[0].action == \"revert\""
'
test_expect 'who loses the name to another is refused by the next answer' '
	beat two && test "$STATUS" = 200 && cp lathe.crt old.crt && cp lathe.pem old.pem && newcomer lathe &&
	beat two && test "$STATUS" = 403 && live three lathe && exec 6>three.in && beat three && test "$STATUS" = 200
'
exec 6>&- 7>&- 8>&- 9>&-
test_done

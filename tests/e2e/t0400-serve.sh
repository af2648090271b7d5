#!/bin/sh
# serve: its doors, who is let in by which, what a broken request gets, and a clean end.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need curl jq openssl

api() { curl -sS --cacert server-ca.pem "$@"; }

test_expect 'serve refuses a home that is not ready, and says what to do' '
	test_status 1 meshanics serve --home empty 2>err && grep "ca init" err
'
test_expect 'a site is made' 'fleet_site'
test_expect 'serve starts and writes its ports' '
	fleet_serve && test_alive serve &&
	meshanics ca show --home hq --json >ca.json &&
	jq -r ".cas[] | select(.kind == \"server\") | .certificate" ca.json >server-ca.pem
'
test_expect 'a second serve on the same home is told to wait' '
	test_status 4 meshanics serve --home hq 2>err && grep "in use" err
'
test_expect 'health needs no token, all else does' '
	api https://127.0.0.1:$FLEET_API/healthz | jq -e ".status == \"ok\"" &&
	test "$(api -o body -w "%{http_code}" https://127.0.0.1:$FLEET_API/api/v1/devices)" = 401 &&
	test_json ".error.kind == \"denied\"" body &&
	test "$(api -o body -w "%{http_code}" -H "Authorization: Bearer mop1AAAA" https://127.0.0.1:$FLEET_API/metrics)" = 401
'
test_expect 'an operator token opens the API, within its role' '
	meshanics operator add vera --role viewer --home hq --out vera.token &&
	test "$(stat -c %a vera.token)" = 600 &&
	api -H "Authorization: Bearer $(cat vera.token)" https://127.0.0.1:$FLEET_API/api/v1/devices >devices &&
	test_json ".devices == []" devices &&
	api -H "Authorization: Bearer $(cat vera.token)" https://127.0.0.1:$FLEET_API/metrics | grep "^meshanics_build_info" &&
	test "$(api -o body -w "%{http_code}" -X POST -d "{\"name\":\"eve\",\"role\":\"admin\"}" -H "Authorization: Bearer $(cat vera.token)" \
		https://127.0.0.1:$FLEET_API/api/v1/operators)" = 403 &&
	grep operator.write body
'
test_expect 'the command line speaks to it from afar with the same token' '
	meshanics device list --home nowhere --server https://127.0.0.1:$FLEET_API --token-file vera.token --json >out &&
	test_json ".devices == []" out &&
	test_status 3 meshanics operator add eve --role admin --home nowhere --server https://127.0.0.1:$FLEET_API \
		--token-file vera.token 2>err && grep operator.write err
'
test_expect 'a token of another control plane is not shown to this one' '
	mkdir other && (cd other && fleet_site) &&
	meshanics operator add mallory --role admin --home other/hq --out mallory.token &&
	test_status 3 meshanics device list --home nowhere --server https://127.0.0.1:$FLEET_API --token-file mallory.token 2>err
'
test_expect 'a revoked operator is out at the next request' '
	meshanics operator revoke vera --home hq &&
	test_status 3 meshanics device list --home nowhere --server https://127.0.0.1:$FLEET_API --token-file vera.token
'
test_expect 'what breaks HTTP or the API is named' '
	test "$(api -o body -w "%{http_code}" https://127.0.0.1:$FLEET_API/nothing)" = 404 &&
	for bad in "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" "GET / HTTP/1.1\nHost: a\n\n" \
		"POST /enroll HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx" \
		"POST /enroll HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n"; do
		printf "$bad" | timeout 10 openssl s_client -quiet -connect 127.0.0.1:$FLEET_ENROLL 2>/dev/null | head -n 1 | grep "HTTP/1.1 4" || return 1
	done
'
test_expect 'enrolment: JSON bombs, foreign tokens and huge bodies are refused' '
	deep=$(printf "%0100d" 0 | tr 0 "[") &&
	test "$(api -o body -w "%{http_code}" -d "{\"token\":$deep" https://127.0.0.1:$FLEET_ENROLL/enroll)" = 413 &&
	test "$(api -o body -w "%{http_code}" -d "{\"token\":\"mtk1x\",\"token\":\"mtk1y\"}" https://127.0.0.1:$FLEET_ENROLL/enroll)" = 400 &&
	grep "duplicate key" body &&
	head -c 2000000 /dev/zero | api -o body -w "%{http_code}" --data-binary @- https://127.0.0.1:$FLEET_ENROLL/enroll | grep 413
'
test_expect 'devices without a certificate get nowhere' '
	! api https://127.0.0.1:$FLEET_DEVICE/device/heartbeat -d "{}" 2>err &&
	! api https://127.0.0.1:$FLEET_REPO/metadata/timestamp.json 2>err
'
test_expect 'its own description names every operator request' '
	meshanics operator add root --role admin --home hq --out root.token &&
	api -H "Authorization: Bearer $(cat root.token)" https://127.0.0.1:$FLEET_API/api/v1/openapi.json >openapi &&
	test_json ".openapi == \"3.1.0\" and (.paths | length) > 20 and .paths[\"/api/v1/rollouts\"].post.operationId == \"rollout.create\"" openapi
'
test_expect 'it stops cleanly on SIGTERM, and verbs work on the files again' '
	test_stop serve && grep "serve.stopped clean=true" serve.log &&
	meshanics operator list --home hq --json >out && test_json ".operators | length >= 1" out
'
test_expect 'kill -9 loses no answered change' '
	fleet_serve && meshanics operator add zoe --role viewer --home hq --out zoe.token && test_crash serve &&
	fleet_serve && meshanics operator list --home hq | grep zoe &&
	meshanics device list --home nowhere --server https://127.0.0.1:$FLEET_API --token-file zoe.token &&
	test_stop serve
'
test_done

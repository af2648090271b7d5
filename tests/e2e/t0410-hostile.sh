#!/bin/sh
# serve among hostile clients: what each kind of them may cost, and that the honest are served meanwhile.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq curl openssl

ca=$TEST_DIR/hq/control/ca fds=0 rss=0
flood() { "$TEST_TOOLS/flood" "$@" "$ca"; }
descriptors() { find "/proc/$(cat serve.pid)/fd" -mindepth 1 | wc -l; }
rss_kib() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(cat serve.pid)/status"; }
metric() { curl -sS --unix-socket hq/control/control.sock http://x/metrics | sed -n "s/^meshanics_$1 //p"; }
# A newcomer with a certificate comes in and is answered; it comes from an address that attackers use, too.
honest() { flood idle "$FLEET_DEVICE" 1 0 >honest && tail -n 1 honest | jq -e '.there == 1'; }
seen() { meshanics device list --home hq --json | jq -e '.devices[0].presence == "online"'; }
# Sanitizers keep what was freed, so that it is found when it is used.
grow_max=65536
grep -q __asan_init "$(command -v meshanics)" && grow_max=524288

# under MODE PORT COUNT SECONDS: while that flood is up, somebody new is let in and the device that is in is not lost.
under() {
	test_start flood "$TEST_TOOLS/flood" "$@" "$ca" && test_wait 30 grep -q ready flood.log &&
		test_wait 30 honest && seen && test_wait 60 flood_over
}
flood_over() {
	! test_alive flood 2>/dev/null && tail -n 1 flood.log | jq -e '.opened > 0'
}
# After all that: no descriptor more than before.
rested() { test "$(descriptors)" -le "$fds"; }

test_expect 'a site with little room, and a device in it' '
	test -x "$TEST_TOOLS/flood" && fleet_site && fleet_serve --connections 128 --loops 1 && fleet_device 1 &&
	test_wait 30 seen && test_wait 10 honest && sleep 1 &&
	fds=$(descriptors) && rss=$(rss_kib)
'
test_expect 'ten thousand connections that never say a byte' '
	under silent $FLEET_DEVICE 10000 5 && test "$(metric "connections_total{outcome=\"displaced\"}")" -gt 100
'
test_expect 'handshakes that stop after the first message' 'under HELLO $FLEET_DEVICE 200 2'
test_expect 'handshakes that go on as garbage' 'under HALF $FLEET_DEVICE 200 2'
test_expect 'handshakes with the certificates of strangers' 'under FOREIGN $FLEET_DEVICE 50 2'
test_expect 'heads that never end, where no certificate is asked for' 'under head $FLEET_ENROLL 300 4'
test_expect 'bodies that never end, there' 'under body $FLEET_ENROLL 300 4'
test_expect 'answers that nobody reads' 'under read $FLEET_REPO 30 2'
test_expect 'one certificate with hundreds of connections' 'under CROWD $FLEET_DEVICE 200 3'
test_expect 'clients that vanish at every stage' '
	under VANISH $FLEET_ENROLL 48 3 && test_wait 30 rested
'
test_expect 'memory is as it was, by and large' '
	test $(($(rss_kib) - rss)) -lt $grow_max
'
test_expect 'requests in one write are answered one by one; what follows a refused body is none' '
	printf "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" |
		timeout 10 openssl s_client -quiet -connect 127.0.0.1:$FLEET_ENROLL 2>/dev/null >three &&
	test "$(grep -o "HTTP/1.1 404" three | wc -l)" = 3 &&
	printf "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n" |
		timeout 10 openssl s_client -quiet -connect 127.0.0.1:$FLEET_ENROLL 2>/dev/null >one &&
	test "$(grep -o "HTTP/1.1 " one | wc -l)" = 1 && grep "^Connection: close" one &&
	head -c 20000 /dev/zero | tr "\0" a | sed "s/^/GET \//" |
		timeout 10 openssl s_client -quiet -connect 127.0.0.1:$FLEET_ENROLL 2>/dev/null | head -n 1 | grep "HTTP/1.1 431"
'
test_expect 'it ends cleanly after all that' '
	test_stop serve && grep "serve.stopped clean=true" serve.log && test_stop agent1
'
test_expect 'with few descriptors it takes a smaller cap and says so, with too few it does not start' '
	(ulimit -n 400 && exec meshanics serve --home hq --public-name 127.0.0.1 --loops 2 --ready-file few \
		--api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0) \
		>few.log 2>&1 & pid=$! && test_wait 30 test -s few && kill $pid && wait $pid &&
	grep "serve.connections wanted=4096 each=57 loops=2 descriptors=400" few.log &&
	test_status 1 sh -c "ulimit -n 250 && meshanics serve --home hq --loops 2" 2>err && grep "^hint: raise the limit" err
'
test_expect 'a low soft limit is raised to the hard one' '
	(ulimit -Sn 200 && exec meshanics serve --home hq --public-name 127.0.0.1 --loops 1 --connections 100 --ready-file low \
		--api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0) \
		>low.log 2>&1 & pid=$! && test_wait 30 test -s low && grep "Max open files" /proc/$pid/limits >limits &&
	kill $pid && wait $pid && test "$(awk "{ print \$4 }" limits)" = "$(awk "{ print \$5 }" limits)" &&
	grep "serve.ready.*connections=100" low.log
'
test_done

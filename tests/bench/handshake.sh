#!/bin/sh
# Processor time that serve and nginx spend on a full TLS 1.2 handshake with client certificate, P-256 all round, key exchange
# on X25519: `openssl s_time -new` makes them one after the other, turn and turn about, and closes each connection at once.
#
#	make && tests/bench/handshake.sh [SECONDS [TURNS]]
seconds=${1:-3} turns=${2:-5}
set --
. "$(dirname "$0")/../e2e/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need curl jq nginx openssl

# A device whose key openssl has made: device.pem, device.key.
device() {
	meshanics enroll token create --home hq --root signed/root.json --name-prefix press --out token &&
		openssl ecparam -name prime256v1 -genkey -noout -out device.key &&
		openssl req -new -key device.key -sha256 -subj "/CN=press" -outform DER -out device.csr || return 1
	jq -n --arg t "$(cat token)" --arg c "$(base64 -w0 device.csr)" '{token: $t, csr: $c, hostname: "press"}' >body &&
		curl -sS --cacert server-ca.pem -H 'Content-Type: application/json' --data-binary @body -o answer.json \
			"https://127.0.0.1:$FLEET_ENROLL/enroll" &&
		jq -r .certificate answer.json | base64 -d | openssl x509 -inform DER -out device.pem
}

# nginx with a certificate of the same kind: a CA and a leaf on P-256.
nginx_start() {
	openssl ecparam -name prime256v1 -genkey -noout -out ca.key && openssl ecparam -name prime256v1 -genkey -noout -out web.key &&
		openssl req -x509 -new -key ca.key -sha256 -subj "/CN=web CA" -days 30 -out ca.pem &&
		openssl req -new -key web.key -sha256 -subj "/CN=127.0.0.1" -out web.csr &&
		openssl x509 -req -in web.csr -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days 30 -out web.pem &&
		cat web.pem ca.pem >chain.pem || return 1
	cat >nginx.conf <<-END
		daemon off; master_process off; pid $TEST_DIR/nginx.pid; error_log $TEST_DIR/nginx.log crit;
		events { worker_connections 64; }
		http {
			access_log off; client_body_temp_path $TEST_DIR/n1; proxy_temp_path $TEST_DIR/n2;
			fastcgi_temp_path $TEST_DIR/n3; uwsgi_temp_path $TEST_DIR/n4; scgi_temp_path $TEST_DIR/n5;
			server {
				listen 127.0.0.1:9755 ssl; ssl_protocols TLSv1.2; ssl_ecdh_curve X25519:prime256v1; ssl_session_tickets off;
				ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256; ssl_certificate $TEST_DIR/chain.pem;
				ssl_certificate_key $TEST_DIR/web.key; ssl_verify_client on;
				ssl_client_certificate $TEST_DIR/device-ca.pem;
			}
		}
	END
	test_start nginx nginx -p "$TEST_DIR" -c "$TEST_DIR/nginx.conf" && sleep 1 && test_alive nginx
}

# Clock ticks of a process so far, all threads.
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

# turn NAME PID PORT: handshakes of one turn, and what the process took for each.
turn() {
	before=$(ticks "$2")
	timeout $((seconds + 30)) openssl s_time -new -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256 -time "$seconds" \
		-connect "127.0.0.1:$3" -cert device.pem -key device.key >s_time.out 2>&1
	n=$(sed -n 's/^\([0-9]*\) connections in .* real seconds.*/\1/p' s_time.out)
	after=$(ticks "$2")
	[ "${n:-0}" -gt 0 ] || { cat s_time.out && return 1; }
	awk -v who="$1" -v n="$n" -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" \
		'BEGIN { printf "%s %d %.3f\n", who, n, t / hz / n * 1000 }' >>turns
}

test_expect 'a site with a device, and nginx' '
	fleet_site && fleet_serve && meshanics ca show --home hq --certificate server >server-ca.pem &&
	meshanics ca show --home hq --certificate device >device-ca.pem && device && nginx_start
'
test_expect 'handshakes in turns' '
	for i in $(seq "$turns"); do
		turn serve "$(cat serve.pid)" "$FLEET_DEVICE" && turn nginx "$(cat nginx.pid)" 9755 || return 1
	done &&
	for who in serve nginx; do
		grep "^$who" turns | sort -k 3n | awk -v who=$who "{ v[NR] = \$3; n += \$2 }
			END { printf \"# %s: %d handshakes, ms of processor each: least %.3f, median %.3f\n\", who, n, v[1], v[int((NR + 1) / 2)] }" >&3
	done
'
test_done

#!/bin/sh
# What an idle connection of a device holds of memory, in serve and, with the same certificates, in nginx: COUNT
# connections (5000), each with a certificate of its own and one request behind it. The proportional set size of the
# process before and after, divided.
#
#	make all tool-bins build/tests/bench/serverpem && tests/bench/idle.sh
. "$(dirname "$0")/../e2e/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq nginx

count=${COUNT:-5000} ca=$TEST_DIR/hq/control/ca before=0 after=0 slab=0
pss() { awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"; }
slab() { awk '/^Slab:/ { print $2 }' /proc/meminfo; }

# hold WHAT PID PORT: the figures of the server with that pid.
hold() {
	before=$(pss "$2") slab=$(slab) &&
		test_start flood "$TEST_TOOLS/flood" idle "$3" "$count" 600 "$ca" && test_wait 1200 grep -q ready flood.log &&
		jq -e ".there == $count" flood.log && sleep 1 && after=$(pss "$2") &&
		echo "# $1: pss $before kB, then $after kB: $(((after - before) * 1024 / count)) bytes each;" \
			"kernel, both ends: $((($(slab) - slab) * 1024 / count)) bytes" >&3 &&
		test_stop flood && tail -n 1 flood.log | jq -e ".closed == 0"
}

test_expect 'a control plane, and nginx with a certificate of its CA' '
	fleet_site && fleet_serve --loops 1 --connections 20000 && port=$(test_port) &&
	"$TEST_TOOLS/../bench/serverpem" $ca chain.pem key.pem && cat >nginx.conf <<-END
		daemon off; worker_processes 1; pid nginx.pid; error_log error.log; worker_rlimit_nofile 20000;
		events { worker_connections 20000; }
		http {
			access_log off; keepalive_timeout 75s; keepalive_requests 100000;
			server {
				listen 127.0.0.1:$port ssl; ssl_protocols TLSv1.2;
				ssl_certificate chain.pem; ssl_certificate_key key.pem;
				ssl_client_certificate $ca/device.pem; ssl_verify_client on;
				location / { return 404 "{}"; }
			}
		}
	END
	test_start nginx nginx -p "$TEST_DIR" -c nginx.conf && test_wait 10 pgrep -P $(cat nginx.pid)
'
test_expect 'serve holds at most 10 KiB for each' '
	hold serve $(cat serve.pid) $FLEET_DEVICE && test $(((after - before) * 1024 / count)) -le 10240
'
test_expect 'nginx' 'hold nginx $(pgrep -P $(cat nginx.pid)) $port'
test_expect 'both end' 'test_stop serve && test_stop nginx'
test_done

#!/bin/sh
# serve beside nginx with the same certificates, in turns: processor time per request and handshake, bytes, memory of
# idle connections.
#
#	tests/bench/serve.sh [TURNS [IDLE]]	TURNS (5) of each, IDLE (5000) connections held; prints tables for RESULTS.md
#
# Both servers live on one core (SERVER_CORE), the generator on the other (LOAD_CORE); whoever has no turn is idle. The
# figures are processor time of the server, since wall time belongs to whoever else is on the machine; medians of the
# turns, and the ratio is the median of the turns' own. nginx (package nginx-light): one worker, no log, a static file of
# the size of our answer, TLS 1.2 with the same suite and curve, client certificates verified. Without it ours runs alone.
# SECONDS_EACH: of one turn of one case (4).

turns=${1:-5}
idle=${2:-5000}
seconds=${SECONDS_EACH:-4}
dir='' port='' server_core='' load_core='' cores=''	# set by what is read here
# shellcheck source=tests/bench/load-site.sh
. "$(dirname "$0")/load-site.sh"
command -v nginx >/dev/null 2>&1 && has_web=1 || has_web=

web_start() {
	mkdir -p "$dir/www" "$dir/tmp"
	# As long as {"interval_s":57,"desired":[],"orders":[]}
	printf '%042d' 0 >"$dir/www/answer.json"
	web_port=$((port + 1))
	while ! web_try; do
		web_port=$((web_port + 1))
		[ "$web_port" -lt $((port + 20)) ] || exit 1
	done
	web_worker=$(tr -d ' ' <"/proc/$web_pid/task/$web_pid/children")
}

web_try() {
	cat >"$dir/nginx.conf" <<X
worker_processes 1;
daemon off;
pid $dir/nginx.pid;
error_log $dir/nginx.log crit;
user $(id -un);
events { worker_connections 20000; }
http {
	access_log off;
	server_tokens off;
	keepalive_timeout 3600s;
	keepalive_requests 1000000000;
	types { application/json json; }
	open_file_cache max=100 inactive=1h;
	client_body_temp_path $dir/tmp/a; proxy_temp_path $dir/tmp/b; fastcgi_temp_path $dir/tmp/c;
	uwsgi_temp_path $dir/tmp/d; scgi_temp_path $dir/tmp/e;
	server {
		listen 127.0.0.1:$web_port ssl backlog=4096;
		root $dir/www;
		ssl_certificate $dir/web.pem;
		ssl_certificate_key $dir/web.key;
		ssl_client_certificate $dir/device-ca.pem;
		ssl_verify_client on;
		ssl_protocols TLSv1.2;
		ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
		ssl_ecdh_curve X25519:prime256v1;
		ssl_session_cache shared:s:32m;
		ssl_session_tickets off;
	}
}
X
	taskset -c "$server_core" nginx -c "$dir/nginx.conf" -p "$dir" 2>"$dir/nginx.err" &
	web_pid=$!
	tries=0
	until [ -s "$dir/nginx.pid" ] && [ -n "$(cat "/proc/$web_pid/task/$web_pid/children")" ]; do
		tries=$((tries + 1))
		if [ "$tries" -ge 100 ] || ! kill -0 "$web_pid" 2>/dev/null; then
			kill "$web_pid" 2>/dev/null
			wait "$web_pid" 2>/dev/null
			web_pid=
			return 1
		fi
		sleep 0.1
	done
}

load_web() {
	load_mode=$1
	shift
	taskset -c "$load_core" "$dir/load" "$load_mode" --server "127.0.0.1:$web_port" --ca "$dir/server-ca.pem" \
		--devices "$dir/devices" --pid "$web_worker" --get /answer.json "$@"
}

# both CASE MODE ARG...: one turn of each, into $dir/CASE.ours and .web
both() {
	case_name=$1
	shift
	load "$@" >>"$dir/$case_name.ours" || exit 1
	if [ -n "$has_web" ]; then
		load_web "$@" >>"$dir/$case_name.web" || exit 1
	fi
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# of CASE WHO FIELD: the median over the turns
of() {
	[ -s "$dir/$1.$2" ] || {
		echo -
		return
	}
	field "$3" <"$dir/$1.$2" | median
}

# ratio CASE FIELD
ratio() {
	[ -s "$dir/$1.web" ] || {
		echo -
		return
	}
	field "$2" <"$dir/$1.ours" >"$dir/a"
	field "$2" <"$dir/$1.web" >"$dir/b"
	paste -d ' ' "$dir/a" "$dir/b" | awk '{ print $1 / $2 }' | median | awk '{ printf "%.2f", $1 }'
}

row() {
	echo "| $1 | $(of "$2" ours "$3") | $(of "$2" web "$3") | **$(ratio "$2" "$3")** |"
}

say 'making devices'
site_make "$((idle > 64 ? idle : 64))"
site_serve
[ -z "$has_web" ] || web_start
turn=0
while [ "$turn" -lt "$turns" ]; do
	turn=$((turn + 1))
	say "turn $turn of $turns"
	both keepalive keepalive --count 64 --connections 64 --seconds "$seconds"
	both keepalive8 keepalive --count 8 --connections 8 --seconds "$seconds"
	both open keepalive --count 64 --connections 64 --rate 1000 --seconds "$seconds"
	both resume resume --count 64 --connections 16 --seconds "$seconds"
	both full full --count 64 --connections 16 --seconds "$seconds"
done
say "holding $idle idle connections"
both idle idle --connections "$idle" --seconds 5 --parallel 128

echo "$(date +%F), $(uname -m), $cores cores, load $(cut -d ' ' -f 1 /proc/loadavg), medians of $turns turns of $seconds s;" \
	"$(if [ -n "$has_web" ]; then nginx -v 2>&1; else echo 'no nginx'; fi)"
echo
echo '| server processor time, microseconds | serve | nginx | ratio |'
echo '|---|---|---|---|'
row 'heartbeat on an open connection, 64 connections at full speed' keepalive server_cpu_us
row 'the same, 8 connections' keepalive8 server_cpu_us
row 'the same, 64 connections at 1,000 a second' open server_cpu_us
row 'resumed handshake, one request, close' resume server_cpu_us
row 'full handshake, one request, close' full server_cpu_us
echo
echo '| | serve | nginx | ratio |'
echo '|---|---|---|---|'
row 'bytes to the server for a heartbeat on an open connection' keepalive bytes_out
row 'bytes from it' keepalive bytes_in
row 'bytes to the server for a resumed connection with one heartbeat' resume bytes_out
row 'bytes from it' resume bytes_in
row "KiB for an idle connection, of $idle" idle kib_per_link
row 'latency at 1,000 a second, p50, microseconds' open p50_us
row 'p99, microseconds' open p99_us

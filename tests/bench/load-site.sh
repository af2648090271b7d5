# A control plane for load tests, read by serve.sh and fleet.sh: a site of its own in a directory of its own.
#
#	site_make N		$dir/hq with CAs, a repository and N devices, whose identities are in $dir/devices
#	site_serve [ARG...]	serve on $server_core (taskset); $pid and $port of the device listener
#	site_stop		end it
#	load MODE ...		the generator on $load_core against serve
#	field NAME		of the JSON on standard input
# shellcheck shell=sh

top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
make -s --no-print-directory -C "$top" build/meshanics build/tests/bench/load || exit 1
cores=$(nproc)
server_core=${SERVER_CORE:-$((cores - 1))}
load_core=${LOAD_CORE:-0}
dir=$(mktemp -d "${TMPDIR:-/tmp}/load.XXXXXX") || exit 1
chmod 711 "$dir"
cp "${MESHANICS:-$top/build/meshanics}" "$dir/meshanics" || exit 1
cp "$top/build/tests/bench/load" "$dir/load" || exit 1
pid='' web_pid=''

site_leave() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	[ -z "$web_pid" ] || kill "$web_pid" 2>/dev/null
	[ -z "$pid" ] || wait "$pid" 2>/dev/null
	rm -rf "$dir"
}
trap site_leave EXIT
trap 'exit 1' HUP INT TERM
# Twice the connections of the largest test.
# shellcheck disable=SC3045	# dash knows -n
ulimit -n 30000 2>/dev/null || ulimit -n "$(ulimit -H -n)"

say() { echo "$*" >&2; }
meshanics() { "$dir/meshanics" --home "$dir/hq" "$@"; }
field() { sed -n "s/.*\"$1\":\\([^,}]*\\).*/\\1/p"; }

site_make() {
	(
		cd "$dir" || exit 1
		for who in root1 targets1; do
			./meshanics key generate "$who" --home off --unsealed || exit 1
		done
		./meshanics repo init --home hq --site bench --publisher 'plant:plant/*/*' --output online.json &&
			./meshanics ceremony new --home off --online-keys online.json --root-key off/keys/root1.pub \
				--root-threshold 1 --targets-key off/keys/targets1.pub --targets-threshold 1 -o request || exit 1
		digits=$(./meshanics ceremony status request --home off --json | sed -n 's/.*"request": *"\([0-9a-f]\{16\}\).*/\1/p' | head -n 1)
		for who in root1 targets1; do
			./meshanics ceremony sign request --home off --key "$who" --fingerprint "$digits" -o "$who.answer" || exit 1
		done
		mkdir signed && ./meshanics ceremony finish request root1.answer targets1.answer --home off -o signed &&
			./meshanics repo adopt --home hq signed/root.json signed/targets.json &&
			./meshanics ca init --home hq || exit 1
		echo plc >plc && ./meshanics sign plc --home hq --namespace plant --name plc --version 1 --kind file || exit 1
		cp hq/control/ca/server.pem server-ca.pem
		cp hq/control/ca/device.pem device-ca.pem
	) >"$dir/site.log" 2>&1 || {
		cat "$dir/site.log" >&2
		exit 1
	}
	"$dir/load" make --home "$dir/hq" --devices "$dir/devices" --count "$1" --web "$dir/web" || exit 1
}

site_serve() {
	rm -f "$dir/ready"
	taskset -c "$server_core" "$dir/meshanics" serve --home "$dir/hq" --public-name 127.0.0.1 --loops 1 \
		--connections 20000 --heartbeat 60s --ready-file "$dir/ready" --api-listen 127.0.0.1:0 \
		--repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0 "$@" \
		2>"$dir/serve.log" &
	pid=$!
	until [ -s "$dir/ready" ]; do
		kill -0 "$pid" 2>/dev/null || {
			cat "$dir/serve.log" >&2
			exit 1
		}
		sleep 0.1
	done
	port=$(field device_port <"$dir/ready")
}

site_stop() {
	kill "$pid" && wait "$pid"
	pid=
}

load() {
	load_mode=$1
	shift
	taskset -c "$load_core" "$dir/load" "$load_mode" --server "127.0.0.1:$port" --ca "$dir/server-ca.pem" \
		--devices "$dir/devices" --pid "$pid" "$@"
}

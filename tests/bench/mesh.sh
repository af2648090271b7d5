#!/bin/sh
# Throughput, latency and cost of mesh data planes: ours beside those that are installed, two hosts in namespaces.
#
#	tests/bench/mesh.sh [ROUNDS [SECONDS [NAME...]]]
#
# For root. NAME: veth (the wire alone), plain (our plane without a cipher), aes, chacha (with it), meshanics (the whole program), wireguard-go, nebula, tinc,
# fastd, n2n; all that are installed when none is named. Each round runs every one once, in turn. WIRE=1: frames of the
# MTU on the wire, nothing of it is segmented late. Prints a line for each run, then medians as a table.
# MESHPIPE names the plane under test (build/tests/tools/meshpipe), MESHANICS the program. Needs iperf3 and, for datagrams sent
# in bursts by one call, what `make bench-bins` builds.
set -u

rounds=${1:-5} seconds=${2:-3}
if test $# -gt 2; then
	shift 2
else
	set -- veth plain aes chacha meshanics wireguard-go nebula tinc fastd n2n
fi
src=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
pipe=${MESHPIPE:-$src/build/tests/tools/meshpipe}
program=${MESHANICS:-$src/build/meshanics}
datagrams=$src/build/tests/bench/datagrams
io=$src/tests/e2e/mesh-io.pl
dir=$(mktemp -d) || exit 1
NS=mb$$
# shellcheck source=tests/e2e/two-ends.sh
. "$src/tests/e2e/two-ends.sh"
runs=$dir/runs
: >"$runs"

trap 'unwire; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

begin() {
	wire || exit 1
	test -z "${WIRE:-}" || for w in a b; do
		ip netns exec "$NS-$w" ethtool -K w$w tso off gso off tx-udp-segmentation off gro on || exit 1
	done
}

# in_ns a|b COMMAND...: in the background.
in_ns() {
	in_w=$1
	shift
	ip netns exec "$NS-$in_w" "$@" >>"$dir/$in_w.log" 2>&1 &
}

# Each of these starts both ends; $far is the address of B in the mesh.
start_veth() { far=10.9.0.2; }

start_pipe() {
	far=198.18.0.17
	in_ns a "$pipe" --self 1 --cipher "$1" 2 10.9.0.2:7783
	in_ns b "$pipe" --self 2 --cipher "$1" 1 10.9.0.1:7783
}
start_plain() { start_pipe none; }
start_aes() { start_pipe aes; }
start_chacha() { start_pipe chacha; }

# The whole program: filter, sessions, proxy, names.
start_meshanics() {
	if ! test -d "$dir/home.a"; then
		"$program" mgmt-keys add --home "$dir/home.a" --name bench --caps mesh-route --never-expires --quiet \
			--allow tcp:5201 --allow udp:5201 --allow udp:5202 >/dev/null &&
		(umask 077 && "$program" mgmt-keys show bench --home "$dir/home.a" --quiet >"$dir/key") &&
		"$program" mgmt-keys add --home "$dir/home.b" --name bench --caps mesh-route --key-file "$dir/key" --quiet \
			--allow tcp:5201 --allow udp:5201 --allow udp:5202 >/dev/null || return 1
	fi
	for w in a b; do
		in_ns $w "$program" meshlan run --home "$dir/home.$w" --name $w --no-dns
	done
	far=
	until test -n "$far"; do
		far=$(ip -n "$NS-b" -4 -o addr show dev mesh0 2>/dev/null | sed -n 's|.* inet \([0-9.]*\)/.*|\1|p')
		sleep 0.1
	done
}

start_wireguard_go() {
	far=10.77.0.2
	for w in a b; do
		# By the name of the interface: their control sockets share one folder.
		test -s "$dir/wg.$w" || (umask 077 && wg genkey >"$dir/wg.$w")
		wg pubkey <"$dir/wg.$w" >"$dir/wg.$w.pub"
		in_ns $w wireguard-go -f wg$w
	done
	sleep 0.7
	A wg set wga listen-port 51820 private-key "$dir/wg.a" peer "$(cat "$dir/wg.b.pub")" allowed-ips 10.77.0.2/32 \
		endpoint 10.9.0.2:51820
	B wg set wgb listen-port 51820 private-key "$dir/wg.b" peer "$(cat "$dir/wg.a.pub")" allowed-ips 10.77.0.1/32 \
		endpoint 10.9.0.1:51820
	ip -n "$NS-a" addr add 10.77.0.1/24 dev wga && ip -n "$NS-a" link set wga up
	ip -n "$NS-b" addr add 10.77.0.2/24 dev wgb && ip -n "$NS-b" link set wgb up
}

start_nebula() {
	far=10.77.0.2
	if ! test -f "$dir/ca.crt"; then
		(cd "$dir" && nebula-cert ca -name bench && nebula-cert sign -name a -ip 10.77.0.1/24 &&
			nebula-cert sign -name b -ip 10.77.0.2/24) || return 1
	fi
	for w in a b; do
		lighthouse=true hosts='[]'
		test $w = b || { lighthouse=false hosts='["10.77.0.2"]'; }
		cat >"$dir/nebula.$w" <<END
pki: {ca: $dir/ca.crt, cert: $dir/$w.crt, key: $dir/$w.key}
static_host_map: {"10.77.0.2": ["10.9.0.2:4242"]}
lighthouse: {am_lighthouse: $lighthouse, interval: 5, hosts: $hosts}
listen: {host: 0.0.0.0, port: 4242}
cipher: aes
tun: {dev: neb0, mtu: 1420}
firewall: {outbound: [{port: any, proto: any, host: any}], inbound: [{port: any, proto: any, host: any}]}
END
		in_ns $w nebula -config "$dir/nebula.$w"
	done
}

start_tinc() {
	far=10.77.0.2
	for w in a b; do
		n=1 other=b
		test $w = a || { n=2 other=a; }
		test -f "$dir/tinc.$w/tinc.conf" && continue
		mkdir -p "$dir/tinc.$w/hosts" "$dir/tinc.a/hosts" "$dir/tinc.b/hosts"
		printf 'Name = %s\nConnectTo = %s\nInterface = tinc0\n' $w $other >"$dir/tinc.$w/tinc.conf"
		printf 'Address = 10.9.0.%s\nSubnet = 10.77.0.%s/32\n' $n $n >"$dir/tinc.$w/hosts/$w"
		printf '#!/bin/sh\nip addr add 10.77.0.%s/24 dev tinc0\nip link set tinc0 mtu 1420 up\n' $n >"$dir/tinc.$w/tinc-up"
		chmod +x "$dir/tinc.$w/tinc-up"
		tincd -c "$dir/tinc.$w" -K2048 </dev/null >/dev/null 2>&1
	done
	cp "$dir/tinc.a/hosts/a" "$dir/tinc.b/hosts/" && cp "$dir/tinc.b/hosts/b" "$dir/tinc.a/hosts/"
	for w in a b; do
		in_ns $w tincd -c "$dir/tinc.$w" -D --pidfile="$dir/tinc.$w.pid"
	done
}

start_fastd() {
	far=10.77.0.2
	for w in a b; do
		test -s "$dir/fastd.$w" || fastd --generate-key >"$dir/fastd.$w" 2>/dev/null
	done
	for w in a b; do
		n=1 m=2 other=b
		test $w = a || { n=2 m=1 other=a; }
		cat >"$dir/fastd.$w.conf" <<END
mode tun; interface "fastd0"; mtu 1420; method "salsa2012+umac"; bind any:10000;
secret "$(sed -n 's/^Secret: //p' "$dir/fastd.$w")";
peer "other" { key "$(sed -n 's/^Public: //p' "$dir/fastd.$other")"; remote 10.9.0.$m:10000; }
on up "ip addr add 10.77.0.$n/24 dev fastd0; ip link set fastd0 up";
END
		in_ns $w fastd --config "$dir/fastd.$w.conf"
	done
}

start_n2n() {
	far=10.77.0.2
	in_ns b supernode -l 7654
	sleep 0.2
	in_ns b edge -f -d n2n0 -a 10.77.0.2 -c bench -k benchkey -l 10.9.0.2:7654 -M 1400
	in_ns a edge -f -d n2n0 -a 10.77.0.1 -c bench -k benchkey -l 10.9.0.2:7654 -M 1400
}

installed() {
	case $1 in
	veth | plain | aes | chacha) test -x "$pipe" ;;
	meshanics) test -x "$program" ;;
	wireguard-go) command -v wireguard-go && command -v wg ;;
	tinc) command -v tincd ;;
	n2n) command -v edge && command -v supernode ;;
	*) command -v "$1" ;;
	esac >/dev/null
}

# What runs in both namespaces and is no tool of ours.
daemons() {
	for w in a b; do
		for p in $(ip netns pids "$NS-$w"); do
			case $(cat "/proc/$p/comm" 2>/dev/null) in
			'' | iperf3 | perl | sh | ip) ;;
			*) echo "$p" ;;
			esac
		done
	done
}

# Processor seconds of these so far.
cpu() {
	daemons | while read -r p; do
		cat "/proc/$p/stat" 2>/dev/null
	done | awk '{ t += $14 + $15 } END { print t / 100 }'
}

# Memory of the largest of them, MiB.
rss() {
	daemons | while read -r p; do
		sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$p/status" 2>/dev/null
	done | sort -n | tail -n 1 | awk '{ m = $1 } END { printf "%.1f", m / 1024 }'
}

# tcp STREAMS: "MBIT BYTES"
tcp() {
	A iperf3 -c "$far" -t "$seconds" -P "$1" -J 2>/dev/null | perl -0ne '
		my ($end) = /"sum_received":\s*(\{.*?\})/s or die "no result\n";
		my ($bits) = $end =~ /"bits_per_second":\s*([\d.e+]+)/;
		my ($bytes) = $end =~ /"bytes":\s*(\d+)/;
		printf "%.0f %s\n", $bits / 1e6, $bytes'
}

# Whole datagrams of 1,200 bytes that arrived, thousands a second.
udp() {
	A iperf3 -c "$far" -t "$seconds" -u -b 0 -l 1200 -J 2>/dev/null | perl -0ne '
		my ($end) = /.*"sum":\s*(\{[^{}]*"lost_packets"[^{}]*\})/s or die "no result\n";
		my %v = $end =~ /"(\w+)":\s*([\d.e+-]+)/g;
		printf "%.0f\n", ($v{packets} - $v{lost_packets}) / $v{seconds} / 1e3'
}

# The same, sent in bursts of 40 by one call (UDP_SEGMENT), received so, too.
bursts() {
	B "$datagrams" sink "$far" 5202 >"$dir/sink" &
	bursts_sink=$!
	sleep 0.2
	A "$datagrams" send "$far" 5202 1200 "$seconds" 40 0 >/dev/null && wait $bursts_sink && cat "$dir/sink"
}

rtt() {
	A perl "$io" ping "$far" "$1" 56 2 | awk '/^rtt/ { print $3 }'
}

run() {
	name=$1
	begin
	"start_$(echo "$name" | tr - _)" || return 1
	tries=0
	until A perl "$io" ping "$far" 1 >/dev/null 2>&1; do
		tries=$((tries + 1))
		test $tries -lt 60 || { echo "$name: never answered" >&2; tail -n 3 "$dir/a.log" "$dir/b.log" >&2; return 1; }
		sleep 0.2
	done
	B iperf3 -s >/dev/null 2>&1 &
	sleep 0.3
	idle=$(rtt 200)
	before=$(cpu)
	one=$(tcp 1) || return 1
	after=$(cpu)
	four=$(tcp 4)
	A iperf3 -c "$far" -t "$seconds" >/dev/null 2>&1 &
	sleep 0.5
	loaded=$(rtt 100)
	wait $!
	kpps=$(udp)
	many=$(bursts)
	echo "$name ${one% *} ${four% *} $kpps $many $idle $loaded $(rss) $before $after ${one#* }" |
		awk '{ printf "%s %s %s %s %s %s %s %s %.2f\n", $1, $2, $3, $4, $5, $6, $7, $8, ($10 - $9) / ($11 / 1e9) }' | tee -a "$runs"
}

command -v iperf3 >/dev/null || { echo "$0: iperf3 is not installed" >&2; exit 1; }
echo '# name, TCP x1 and x4 Mbit/s, UDP 1200 B whole kpps, in bursts, RTT idle and loaded us, RSS MiB, CPU s/GB of both daemons'
i=0
while test $i -lt "$rounds"; do
	for n in "$@"; do
		if installed "$n"; then
			run "$n"
		fi
	done
	i=$((i + 1))
done
perl -ane '
	push @order, $F[0] if !$v{$F[0]};
	push @{$v{$F[0]}[$_ - 1]}, $F[$_] for 1 .. 8;
	END {
		print "\n| plane | runs | TCP x1 Mbit/s | x4 | UDP 1200 B kpps | in bursts | RTT idle us | loaded us | RSS MiB | CPU s/GB |\n";
		print "|---|---|---|---|---|---|---|---|---|---|\n";
		for my $n (@order) {
			my @m = map { my @s = sort { $a <=> $b } @$_; $s[@s / 2] } @{$v{$n}};
			print "| ", join(" | ", $n, scalar @{$v{$n}[0]}, @m), " |\n";
		}
	}' "$runs"

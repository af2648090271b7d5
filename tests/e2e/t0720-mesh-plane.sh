#!/bin/sh
# The data plane of the mesh, without the daemon: two planes joined by fixed sessions, each in a network namespace.
. "$(dirname "$0")/lib.sh"

test_need_root
test_need ip perl

PIPE=$TEST_TOOLS/meshpipe
IO=$TEST_SRC/tests/e2e/mesh-io.pl
NS=mp$$
# shellcheck source=tests/e2e/two-ends.sh
. "$TEST_SRC/tests/e2e/two-ends.sh"
ours=198.18.0.9 theirs=198.18.0.17
ours6=fd12:102:304:1::1 theirs6=fd12:102:304:2::1

# A wire with this MTU, and nothing left of what was there before.
wired() {
	rm -f ./*.log ./*.err
	wire mtu "$1"
}

# plane a|b OPTION... [BLOCK ADDRESS]: one side alone; its peer, where none is named, is the other one by IPv4.
plane() {
	plane_w=$1
	shift
	case $plane_w,$* in
	*\ [12]\ *) ;;
	a,*) set -- "$@" 2 10.9.0.2:7783 ;;
	b,*) set -- "$@" 1 10.9.0.1:7783 ;;
	esac
	plane_self=1
	test "$plane_w" = a || plane_self=2
	# Not by A or B: the pid is to be that of the plane.
	ip netns exec "$NS-$plane_w" "$PIPE" --self "$plane_self" --name mesh0 --stats "$@" \
		>"$plane_w.log" 2>"$plane_w.err" &
	echo $! >"$plane_w.pid"
}

# join OPTION...: both planes, the same options, and what answers behind them.
join() {
	plane a "$@" && plane b "$@" && serve
}

# What answers, once the planes are there.
serve() {
	if ! test_wait 10 grep -q ready a.log || ! test_wait 10 grep -q ready b.log; then
		cat a.err b.err
		return 1
	fi
	for to in "$theirs" "$theirs6"; do
		B perl "$IO" tcp-serve "$to" 5001 >tcp.log 2>&1 &
		B perl "$IO" udp-serve "$to" 5002 >udp.log 2>&1 &
		test_wait 10 grep -q listening tcp.log && test_wait 10 grep -q listening udp.log || return 1
	done
	A perl "$IO" tcp-serve "$ours" 5001 >tcp.log 2>&1 &
	test_wait 10 grep -q listening tcp.log
}

# What every pair of planes must carry: both families, both directions.
carries() {
	A perl "$IO" ping "$theirs" 5 &&
	A perl "$IO" ping "$theirs6" 5 &&
	B perl "$IO" ping "$ours" 5 &&
	A perl "$IO" ping "$theirs" 3 4000 &&
	A perl "$IO" ping "$theirs6" 3 4000 &&
	A perl "$IO" tcp-send "$theirs" 5001 20000000 &&
	A perl "$IO" tcp-send "$theirs6" 5001 20000000 &&
	B perl "$IO" tcp-send "$ours" 5001 20000000 &&
	A perl "$IO" udp-echo "$theirs" 5002 1200 100 &&
	A perl "$IO" udp-echo "$theirs6" 5002 1200 100
}

# part: stop both planes; their last line has the counters.
part() {
	kill "$(cat a.pid)" "$(cat b.pid)" && test_wait 10 grep -q stats a.log && test_wait 10 grep -q stats b.log
	status=$?
	unwire
	return $status
}

# crash a|b: as a power cut would end it; back when its interface is gone.
crash() {
	kill -9 "$(cat "$1.pid")" && test_wait 10 gone "$1" && rm -f "$1.log"
}

gone() {
	! ip -n "$NS-$1" link show dev mesh0 >/dev/null 2>&1
}

# The value of a counter in a log.
counter() {
	sed -n "s/^stats.* $2 \([0-9]*\).*/\1/p" "$1"
}

test_expect 'pings, streams and datagrams pass, with all offloads' '
	wired 1500 && join && carries && part &&
	test "$(counter a.log offloads)" -ge 3 &&
	test "$(counter a.log gso)" = 1 &&
	# Large buffers came, and large buffers left.
	test "$(counter a.log tun_packets)" -gt $((2 * $(counter a.log tun_reads))) &&
	test "$(counter b.log tun_written)" -gt $((2 * $(counter b.log tun_writes))) &&
	test "$(counter b.log unauthentic)" = 0 && test "$(counter b.log malformed)" = 0 &&
	test "$(counter a.log tun_refused)" = 0 && test "$(counter b.log tun_refused)" = 0
'

test_expect 'the same without any offload' '
	wired 1500 && join --no-tun-offload --no-udp-offload --no-merge && carries && part &&
	test "$(counter a.log offloads)" = 0 && test "$(counter a.log gso)" = 0 &&
	test "$(counter a.log tun_packets)" = "$(counter a.log tun_reads)" &&
	test "$(counter b.log tun_written)" = "$(counter b.log tun_writes)"
'

# Computed checksums on one side, open ones on the other, and no offload in between.
test_expect 'sides with different offloads understand each other' '
	wired 1500 &&
	plane a --no-tun-offload && plane b --no-udp-offload &&
	serve && carries && part &&
	# Segments whose sums were verified are joined all the same.
	test "$(counter b.log tun_written)" -gt "$(counter b.log tun_writes)"
'

test_expect 'ChaCha20-Poly1305 carries as well' '
	wired 1500 && join --cipher chacha && carries && part
'

test_expect 'a mesh over IPv6, with an MTU of 1280 in it' '
	wired 1500 &&
	plane a --mtu 1280 --listen "[::]:7783" 2 "[fd09::2]:7783" &&
	plane b --mtu 1280 --listen "[::]:7783" 1 "[fd09::1]:7783" &&
	serve && carries && part
'

test_expect 'a path narrower than the mesh: TCP is cut smaller, UDP hears of it' '
	wired 1380 && join &&
	# 1,392 bytes do not fit. The kernels are told what does, and keep to it from then on.
	test_status 1 A perl "$IO" udp-echo "$theirs" 5002 1364 2 &&
	test_status 1 A perl "$IO" udp-echo "$theirs6" 5002 1344 2 &&
	{ B perl "$IO" ping "$ours" 1 1364; B perl "$IO" ping "$ours6" 1 1344; A perl "$IO" udp-echo "$theirs" 5002 1364 1; :; } &&
	carries && part &&
	test "$(counter a.log too_big)" -gt 0
'

test_expect 'with sealed datagrams carried by control' '
	wired 1500 && join --way-control &&
	A perl "$IO" ping "$theirs" 5 && A perl "$IO" udp-echo "$theirs" 5002 1200 50 && part
'

test_expect 'an address that nobody has is unreachable at once' '
	wired 1500 && join &&
	test_status 1 A perl "$IO" ping 198.18.0.25 >v4 && grep "^unreachable 3.1 " v4 &&
	test_status 1 A perl "$IO" ping fd12:102:304:9::1 >v6 && grep "^unreachable 1.3 " v6
'

test_expect 'what was dropped for want of a session is said to be unreachable' '
	crash a && crash b && ip -n "$NS-b" link set wb down &&
	plane a && test_wait 10 ip -n "$NS-a" route get "$theirs" && sleep 0.3 &&
	test_status 1 A perl "$IO" tcp-get "$theirs" 5001 >get && grep "^No route to host" get
'

# The packets that waited are those which arrive.
test_expect 'what waits for a session leaves when there is one' '
	{ A perl "$IO" udp-echo "$theirs" 5002 700 1 >waited & } && ip -n "$NS-b" link set wb up &&
	plane b &&
	{ B perl "$IO" udp-serve 0.0.0.0 5002 >udp.log 2>&1 & } &&
	test_wait 10 grep ready a.log && A perl "$IO" ping "$theirs" 3 && cat waited
'

test_expect 'a peer that was killed and started again is back' '
	wired 1500 && join && A perl "$IO" ping "$theirs" 3 &&
	crash b &&
	plane b &&
	test_wait 10 grep ready b.log && A perl "$IO" ping "$theirs" 3
'

test_expect 'a peer whose address changed is followed' '
	ip -n "$NS-b" addr del 10.9.0.2/24 dev wb && ip -n "$NS-b" addr add 10.9.0.7/24 dev wb &&
	B perl "$IO" ping "$ours" 3 && A perl "$IO" ping "$theirs" 3 && grep "^path 2 10.9.0.7:7783" a.log && part
'

test_expect 'what the scope rejects is said to be prohibited' '
	wired 1500 && join --deny-port 5001 &&
	test_status 1 A perl "$IO" tcp-get "$theirs" 5001 && A perl "$IO" udp-echo "$theirs" 5002 100 5 && part
'

test_expect 'an interface that is taken away ends in a word, not in a spin' '
	wired 1500 && join && ip -n "$NS-a" link del mesh0 && test_wait 10 grep "interface is gone" a.err
'

unwire
test_done

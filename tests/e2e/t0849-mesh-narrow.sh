#!/bin/sh
# A way that is narrower than it looks: what fits is found, and those who send are told.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

# peer A B FILTER: of what A says of B
peer() {
	holds "$1" ".networks[0].peers[] | select(.name == \"$2\") | $3"
}

# A router between, whose far wire is narrower; it says so to whoever sends too much.
test_expect 'a narrow way: TCP and ping fit themselves, UDP hears of it' '
	lan wire && host a && plug a wire 10.9.0.1/24 && found a home && up a &&
	lan narrow && host r && plug r wire 10.9.0.254/24 fd09::fe/64 && plug r narrow 10.7.0.254/24 fd07::fe/64 && router r &&
	host d && plug d narrow 10.7.0.4/24 fd07::4/64 && route d default 10.7.0.254 && onip d -6 route add default via fd07::fe &&
	onip a route add 10.7.0.0/24 via 10.9.0.254 &&
	join d a home && onip r link set dev narrow mtu 1400 &&
	up d --peer 10.9.0.1:7784 && reaches 30 a d && reaches 30 d a && mesh d policy allow tcp:5001 && mesh d policy allow udp:5002 &&
	for at in $(v4 d) $(v6 d); do serve d tcp $at 5001 && serve d udp $at 5002 || return 1; done &&
	test_wait 20 io a tcp-get "$(v4 d)" 5001 &&
	io a tcp-send "$(v4 d)" 5001 2000000 && io a tcp-send "$(v6 d)" 5001 2000000 &&
	test_wait 30 pings a d 4000 && test_wait 30 pings6 d a 4000 &&
	test_wait 30 peer a d ".mtu <= 1340" && test_wait 30 io a udp-echo "$(v4 d)" 5002 1200 10
'

test_expect 'a way that becomes narrower still, without a word' '
	on r nft "add table ip f; add chain ip f o { type filter hook output priority 0; }; add rule ip f o ip protocol icmp drop" &&
	onip r link set dev narrow mtu 1330 && test_wait 30 pings a d && io a tcp-send "$(v4 d)" 5001 1000000 &&
	test_wait 60 pings d a 4000 && test_wait 60 peer a d ".mtu <= 1270"
'

test_done

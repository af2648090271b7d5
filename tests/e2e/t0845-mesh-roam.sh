#!/bin/sh
# The ground moves: addresses change, a wire goes dead without a word, loses packets, or is narrower than it looks.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

# peer A B FILTER: of what A says of B
peer() {
	holds "$1" ".networks[0].peers[] | select(.name == \"$2\") | $3"
}

test_expect 'an address that changes is followed, and connections stay' '
	lan wire && host a b c && plug a wire 10.9.0.1/24 && plug b wire 10.9.0.2/24 && plug c wire 10.9.0.3/24 &&
	found a home && join b a home && join c a home && up a && up b && up c &&
	reaches 30 a b c && reaches 30 b c && mesh b policy allow tcp:5001-5003 && mesh b policy allow udp:5002 &&
	for at in $(v4 b) $(v6 b); do serve b tcp $at 5001 && serve b udp $at 5002 && serve b talk $at 5003 || return 1; done &&
	test_wait 20 io a tcp-get "$(v4 b)" 5003 && talks one a b &&
	addr b wire 10.9.0.77/24 && onip b addr del 10.9.0.2/24 dev wire &&
	goes_on one && test_wait 30 peer a b ".endpoint == \"10.9.0.77:7784\"" && pings a b && pings b a
'

test_expect 'both at once' '
	for h in a b; do onip $h addr flush dev wire scope global || return 1; done &&
	addr a wire 10.9.0.101/24 && addr b wire 10.9.0.102/24 &&
	reaches 60 a b && reaches 60 b a && goes_on one && test_wait 30 peer b a ".endpoint == \"10.9.0.101:7784\""
'

test_expect 'another wire altogether, and back' '
	lan other && plug a other 10.8.0.1/24 && plug b other 10.8.0.2/24 &&
	onip b link set dev wire down && reaches 60 a b && goes_on one && test_wait 30 peer a b ".endpoint == \"10.8.0.2:7784\"" &&
	onip b link set dev wire up && onip b link set dev other down && reaches 60 a b && goes_on one &&
	test_wait 30 peer a b ".endpoint == \"10.9.0.102:7784\"" && unplug b other && unplug a other && pings a b
'

test_expect 'a wire that goes dead without a word: through the third' '
	drop wire a b && drop wire b a && reaches 60 a b && reaches 60 b a && goes_on one &&
	test_wait 30 peer a b ".path == \"peer\" and .via == \"c\"" && pings a c
'

test_expect 'and straight again when it lives' '
	heal wire && test_wait 60 peer a b ".path == \"lan\" and .via == null" && test_wait 60 peer b a ".path == \"lan\"" &&
	pings a b && goes_on one
'

test_expect 'dead in one direction alone' '
	drop wire a b && reaches 60 a b && reaches 60 b a && goes_on one && heal wire && reaches 30 a b
'

test_expect 'of ten packets one is lost' '
	lossy wire 10 && io a tcp-send "$(v4 b)" 5001 1000000 && goes_on one && crash c && up c && reaches 60 c a && reaches 60 c b &&
	heal wire
'

# A router between, whose far wire is narrower; it says so to whoever sends too much.
test_expect 'a narrow way: TCP and ping fit themselves, UDP hears of it' '
	lan narrow && host r && plug r wire 10.9.0.254/24 fd09::fe/64 && plug r narrow 10.7.0.254/24 fd07::fe/64 && router r &&
	host d && plug d narrow 10.7.0.4/24 fd07::4/64 && route d default 10.7.0.254 && onip d -6 route add default via fd07::fe &&
	onip a route add 10.7.0.0/24 via 10.9.0.254 &&
	join d a home && onip r link set dev narrow mtu 1400 &&
	up d --peer 10.9.0.101:7784 && reaches 30 a d && reaches 30 d a && mesh d policy allow tcp:5001 && mesh d policy allow udp:5002 &&
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

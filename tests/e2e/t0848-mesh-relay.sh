#!/bin/sh
# Two machines behind two NAT boxes that take another port for whoever they talk to: through a third member, which cannot
# read it; straight, as soon as that is possible.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

test_expect 'two boxes that take another port for each: through the third' '
	boxes symmetric symmetric && reaches 30 a m && reaches 30 b m && reaches 30 a b && reaches 30 b a &&
	relayed a b && relayed b a && pings a b 1300 && test_wait 20 pings6 b a 4000 &&
	mesh a meshlan ping b --count 1 >out && grep "m" out
'

test_expect 'streams pass through the third as well' '
	mesh b policy allow tcp:5001 && serve b tcp "$(v4 b)" 5001 && test_wait 20 io a tcp-get "$(v4 b)" 5001 &&
	io a tcp-send "$(v4 b)" 5001 2000000
'

test_expect 'a box that becomes kinder: straight from then on' '
	# What stood through them goes as well: with its interface the kernel forgets whom it masked there.
	for w in na nb; do
		on $w nft flush ruleset && nat $w net cone && onip $w link set dev net down && onip $w link set dev net up || return 1
	done &&
	# Else each waits for its keepalive.
	pings a m; pings b m; reaches 60 a b && direct a b 203.0.113.2 && direct b a 203.0.113.1 && pings a b && pings b a
'

test_expect 'two behind one box talk inside' '
	boxes symmetric symmetric && host c && plug c la 192.168.1.30/24 && route c default 192.168.1.1 &&
	join c m home && boxes_up c && reaches 30 a c && reaches 30 c a && reaches 30 c b && test_wait 30 path a c lan
'

# It reads nothing of it, and may not: what passes is sealed between a and b, and m knows no address of it.
test_expect 'without the third there is no way, and with it there is one again' '
	reaches 30 a b && relayed a b && crash m && test_wait 60 sh -c "! ip netns exec $mesh_ns-a perl $TEST_SRC/tests/e2e/mesh-io.pl ping $(v4 b) 1" &&
	up m && reaches 60 a b && reaches 60 b a && test_wait 20 relayed a b
'

test_done

#!/bin/sh
# The ground moves: addresses change, a wire goes dead without a word, or loses packets.
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

test_done

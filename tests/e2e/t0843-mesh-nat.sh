#!/bin/sh
# Two machines behind two NAT boxes that nobody can call, and a third that both reach: it introduces them, and they talk
# straight through the boxes.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

test_expect 'through two boxes that keep ports: the third introduces them' '
	boxes cone cone && reaches 30 a m && reaches 30 b m && reaches 30 a b && reaches 30 b a &&
	direct a b 203.0.113.2 && direct b a 203.0.113.1
'

test_expect 'and then it goes on without the third' '
	crash m && pings a b && pings6 b a && mesh b policy allow tcp:5001 && serve b tcp "$(v4 b)" 5001 &&
	test_wait 20 io a tcp-get "$(v4 b)" 5001 && io a tcp-send "$(v4 b)" 5001 2000000
'

test_expect 'the third comes back, and nothing changes' '
	up m && reaches 30 m a b && reaches 30 a m && direct a b 203.0.113.2 && pings a b && pings b a
'

test_expect 'one that is killed and started again comes through as before' '
	crash b && boxes_up b && reaches 30 b a && reaches 30 a b && direct a b 203.0.113.2 && direct b a 203.0.113.1
'

test_expect 'the very same private address on both sides' '
	boxes cone cone 192.168.1.20 && reaches 30 a m && reaches 30 b m && reaches 30 a b && reaches 30 b a &&
	direct a b 203.0.113.2 && direct b a 203.0.113.1
'

test_expect 'a box that lets everybody in, and one that takes another port for each' '
	boxes full symmetric && reaches 30 a m && reaches 30 b m && reaches 30 a b && reaches 30 b a &&
	direct a b 203.0.113.2 && direct b a 203.0.113.1
'

test_done

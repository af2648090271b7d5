#!/bin/sh
# A machine on the LAN beside a node, no member, that sends to the node's addresses in the mesh by way of its address there.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

# listen HOST ADDRESS: what is tried below
listen() {
	serve "$1" tcp "$2" 5001 && serve "$1" udp "$2" 5002
}
# in_all|in_none FROM ADDRESS...: TCP, UDP and ping come to each of these, or none of all does
in_all() {
	in_from=$1
	shift
	for in_at in "$@"; do
		io "$in_from" tcp-get "$in_at" 5001 2 && io "$in_from" udp-echo "$in_at" 5002 100 1 && io "$in_from" ping "$in_at" 1 || return 1
	done
}
# Each waits for what never comes: all at once.
in_none() {
	in_from=$1 in_bad=0 in_pids=
	shift
	for in_at in "$@"; do
		io "$in_from" tcp-get "$in_at" 5001 0.5 &
		in_pids="$in_pids $!"
		io "$in_from" udp-echo "$in_at" 5002 100 1 &
		in_pids="$in_pids $!"
		io "$in_from" ping "$in_at" 1 &
		in_pids="$in_pids $!"
	done
	for in_pid in $in_pids; do
		! wait "$in_pid" || in_bad=1
	done
	return $in_bad
}
own() {
	v4 "$1" && v6 "$1"
}
forward_at() {
	status b | jq -er ".networks[0].forwards[] | select(.name == \"device\") | .ipv4, .ipv6"
}
table() {
	on b nft list table inet "meshanics-${1-mesh0}"
}
no_table() {
	! table "$@" && on b nft list tables >tables.now && ! grep meshanics tables.now
}
# as_member N: how many of 20 datagrams to each LAN address of b come in that n sends with a's addresses in the mesh, 0 or 20
as_member() {
	set -- "$1" "$(v4 a)" 10.9.0.2 "$(v6 a)" fd00:9::2
	while [ $# -gt 1 ]; do
		on n ip addr add "$2" dev lo nodad 2>/dev/null
		io b udp-sink "$3" 5003 2 >sink &
		sink=$!
		test_wait 10 grep -q listening sink && io n udp-flood "$3" 5003 100 20 "$2" && wait "$sink" && cat sink &&
			grep "^got $1 " sink || return 1
		first=$1
		shift 3
		set -- "$first" "$@"
	done
}
# Every address of the node, and nothing else, is in it.
table_has() {
	table >table.now && for has in "$@"; do
		grep -w "$has" table.now || return 1
	done
}
guard_warned() {
	holds b "[.networks[0].warnings[] | select(.kind == \"guard\")] | length == $1"
}

test_expect 'a neighbour reaches whatever address Linux has, at whichever interface' '
	lan wire && lan other && host a b n d && plug a wire 10.9.0.1/24 fd00:9::1/64 && plug b wire 10.9.0.2/24 fd00:9::2/64 &&
	plug n wire 10.9.0.3/24 fd00:9::3/64 && plug b other 10.8.0.1/24 fd00:8::1/64 && plug d other 10.8.0.2/24 fd00:8::2/64 &&
	router b && for net in 198.18.0.0/15 10.8.0.0/24; do route n "$net" 10.9.0.2 || return 1; done &&
	for net in fd12::/16 fd00:8::/64; do route n "$net" fd00:9::2 || return 1; done &&
	listen b 10.8.0.1 && listen b fd00:8::1 && in_all n 10.8.0.1 fd00:8::1
'

test_expect 'addresses of the mesh are for members, and for the node itself' '
	found a home --ipv4-range 198.18.32.0/19 && join b a home && up a && up b && reaches 30 a b &&
	for at in $(own b); do listen b "$at" || return 1; done &&
	mesh b policy allow tcp:5001 && mesh b policy allow udp:5002 && test_wait 20 in_all a $(own b) && in_all b $(own b) &&
	in_none n $(own b) && in_all n 10.8.0.1 fd00:8::1
'

test_expect 'nor is a device behind the node reached by who is no member' '
	route d 198.18.0.0/15 10.8.0.1 && listen d 10.8.0.2 && listen d fd00:8::2 && mesh b forward add device 10.8.0.2 &&
	test_wait 20 forward_at && test_wait 20 in_all a $(forward_at) && in_all b $(forward_at) && in_none n $(forward_at)
'

test_expect 'what does it is a table that can be looked at, and counts' '
	table && table_has $(own b) $(forward_at) "flags owner" "iif \"mesh0\" accept" "iif \"lo\" accept" &&
	grep "ip daddr @own4 counter packets [1-9][0-9]* bytes [0-9]* drop" table.now &&
	grep "ip6 daddr @own6 counter packets [1-9][0-9]* bytes [0-9]* drop" table.now && guard_warned 0
'

test_expect 'who is no member cannot send as one to an address in the LAN' '
	as_member 0 && table >table.now && grep "fib saddr oif \"mesh0\" counter packets [1-9]" table.now && reaches 10 a b
'

test_expect 'who flushes all rules leaves it there' '
	on b nft flush ruleset && table && in_none n $(own b)
'

test_expect 'a forward that goes leaves nothing of it there' '
	was=$(forward_at) && mesh b forward rm device && gone() { ! table_has $was; } && test_wait 20 gone && table_has $(own b)
'

test_expect 'it goes with a process that is killed, and comes back with the next' '
	crash b && test_wait 5 no_table && up b && reaches 30 a b && table_has $(own b) &&
	in_none n $(own b) && in_all a $(own b) && guard_warned 0 && ! grep "mesh.warning.*beside" b.log
'

test_expect 'it is taken away at the end, and what another kernel left makes room' '
	down b && no_table && on b nft "table inet meshanics-mesh0 { chain x { type filter hook prerouting priority 0; drop; }; }
		table inet meshanics-mesh7 { chain x { type filter hook prerouting priority 0; drop; }; }" && ! pings a b &&
	up b && reaches 30 a b && table_has "flags owner" $(own b) && ! grep " x " table.now && ! table mesh7 && in_none n $(own b)
'

test_expect 'where it cannot be had, status says what that means, once, and the node goes on' '
	down b && test_start hold ip netns exec "$mesh_ns-b" perl -MIO::Handle -e "
		open(\$nft, q(|-), q(nft -i)) or die; \$nft->autoflush; print \$nft \"add table inet meshanics-mesh0 { flags owner; }\n\"; sleep 600" &&
	test_wait 10 table && up b && reaches 30 a b && test_wait 20 guard_warned 1 &&
	mesh b meshlan status >out && cat out && grep "^warning: machines beside this node reach its mesh addresses past all rules: .*meshanics-mesh(7)$" out &&
	in_all n $(own b) && as_member 20 && test_crash hold && test_wait 60 guard_warned 0 && in_none n $(own b) &&
	[ "$(grep -c "^warn mesh.warning.*beside" b.log)" = 1 ]
'

test_expect 'each network has its own' '
	found a office --ipv4-range 198.18.64.0/19 && join b a office && test_wait 20 table mesh1 && test_wait 20 v4 b office &&
	office=$(v4 b office) && listen b "$office" && listen b "$(v6 b office)" && table mesh1 | grep -w "$office" &&
	mesh b policy allow tcp:5001 --network office && mesh b policy allow udp:5002 --network office &&
	test_wait 30 in_all a "$office" "$(v6 b office)" && in_none n $(own b) "$office" "$(v6 b office)" &&
	mesh b mgmt-keys rm office --yes && gone() { ! table mesh1; } && test_wait 20 gone && table_has $(own b) && in_none n $(own b)
'

# claims HOST LINE: of a network with few blocks; address HOST: what follows from it
claims() {
	echo "$2" >"$(echo "$1"/mesh/networks/*)/claims" && chmod 600 "$1"/mesh/networks/*/claims
}
address() {
	meshanics mgmt-keys list --home "$1" --json | jq -er ".networks[0].ipv4"
}
test_expect 'a node that loses its address takes it along' '
	down b && down a && rm -rf a b && found a home --ipv4-range 198.18.32.0/26 && join b a home && claims b "0 0 unknown" && up b &&
	test_wait 20 own b && was=$(v4 b) && table_has "$was" && try=0 &&
	while claims a "0 $try $(date +%s)" && [ "$(address a)" != "$was" ]; do try=$((try + 1)) && [ "$try" -lt 200 ] || return 1; done &&
	up a && moved() { [ "$(v4 b)" != "$was" ]; } && test_wait 30 moved && reaches 30 a b && table_has $(own b) && ! table_has "$was" &&
	listen b "$(v4 b)" && mesh b policy allow tcp:5001 && mesh b policy allow udp:5002 && test_wait 20 in_all a "$(v4 b)" && in_none n $(own b)
'

test_done

#!/bin/sh
# Two machines on one wire: they find each other, whoever is there first, whatever ended them, whatever their clocks say.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"
test_need faketime

# Both directions, both families.
both() {
	reaches 30 a b && reaches 30 b a && reaches6 30 a b && reaches6 30 b a
}
# The same address as before?
same() {
	[ "$(v4 "$1")" = "$(cat "$1.v4")" ] && [ "$(v6 "$1")" = "$(cat "$1.v6")" ]
}

test_expect 'two that find each other by themselves' '
	lan wire && host a b && plug a wire 10.9.0.1/24 fd09::1/64 && plug b wire 10.9.0.2/24 fd09::2/64 &&
	found a "Home network" && join b a "Home network" &&
	up a && up b && both &&
	for h in a b; do v4 $h >$h.v4 && v6 $h >$h.v6 || return 1; done &&
	holds a ".networks[0].peers | length == 1 and .[0].name == \"b\" and .[0].state == \"connected\" and .[0].path == \"lan\"" &&
	holds b ".networks[0].peers[0].name == \"a\" and .networks[0].warnings == []"
'

test_expect 'large packets and streams pass' '
	pings a b 8000 && pings6 b a 8000 &&
	mesh b policy allow tcp:5001 &&
	serve b tcp "$(v4 b)" 5001 && serve b tcp "$(v6 b)" 5001 &&
	test_wait 20 io a tcp-get "$(v4 b)" 5001 && io a tcp-send "$(v4 b)" 5001 5000000 && io a tcp-send "$(v6 b)" 5001 5000000
'

test_expect 'started again, with the same addresses, in either order' '
	down a && down b && up b && test_wait 20 status b && up a && both && same a && same b &&
	down a && up a && both && same a &&
	down b && up b && both && same b
'

test_expect 'killed, one and then both' '
	crash b && up b && both &&
	crash a && crash b && up a && up b && both && same a && same b &&
	holds a ".networks[0].warnings == []"
'

test_expect 'with nothing but what the disk remembers, when none looks for the other' '
	down a && down b && up a --no-discovery && up b --no-discovery && both
'

test_expect 'with clocks that are two days apart' '
	down a && down b && up_at -1d a && up_at +1d b && both && same a && same b &&
	crash a && crash b && up_at +1d a && up_at -1d b && both && same a && same b
'

test_expect 'a newcomer whose clock is wrong' '
	host c && plug c wire 10.9.0.3/24 && join c a "Home network" && up_at -30d c &&
	reaches 30 a c && reaches 30 c b && reaches 30 b c && same a && same b
'

test_expect 'over IPv6 alone' '
	clear_all; rm -rf a b c; lan wire && host a b && plug a wire fd09::1/64 && plug b wire fd09::2/64 &&
	found a home && join b a home && up a && up b && both &&
	holds a ".networks[0].peers[0].endpoint | test(\"^.fd09::2.:\")"
'

long=a-name-that-is-nearly-as-long-as-a-label-of-the-dns-may-be
test_expect 'more addresses than a record has room for beside its forwards' '
	clear_all; rm -rf a b; lan wire && lan two && lan three && host a b && plug b wire fd09::2/64 &&
	plug a wire fd09::1/64 fd09::a/64 fd09::b/64 fd09::c/64 && plug a two fd0a::1/64 fd0a::a/64 fd0a::b/64 fd0a::c/64 &&
	plug a three fd0b::1/64 fd0b::a/64 fd0b::b/64 fd0b::c/64 && found a home && join b a home &&
	for n in 1 2 3 4 5 6 7 8 9; do
		mesh a forward add a-device-with-a-name-of-more-than-fifty-characters-$n 192.168.1.5$n || return 1
	done &&
	up a --name $long && up b && both &&
	test_wait 20 holds a ".networks[0] | .warnings[] | select(.kind == \"record\") | .text | test(\"fewer forwards\")" &&
	holds a ".networks[0].endpoints | length >= 6 and length < 12" &&
	for n in 4 5 6 7 8 9; do
		mesh a forward rm a-device-with-a-name-of-more-than-fifty-characters-$n || return 1
	done &&
	test_wait 20 holds a ".networks[0] | (.endpoints | length == 12) and (.warnings | all(.kind != \"record\"))"
'

test_expect 'several networks at once, each with a range of its own' '
	clear_all; rm -rf a b; lan wire && host a b && plug a wire fd09::1/64 && plug b wire fd09::2/64 &&
	found a home && join b a home && up a && up b &&
	found a office --ipv4-range 10.77.0.0/20 && join b a office &&
	found b lab --ipv4-range 172.20.0.0/19 && join a b lab &&
	for n in home office lab; do
		reaches 30 a b/$n && reaches6 30 b a/$n || return 1
	done &&
	v4 a office | grep "^10\.77\." && v4 a lab | grep "^172\.20\." &&
	holds a ".networks | map(.interface) | unique | length == 3"
'

test_expect 'left and joined again while it runs' '
	v4 b office >before && mesh b mgmt-keys rm office --yes &&
	test_wait 30 holds b "[.networks[].network] == [\"home\", \"lab\"]" &&
	test_status 1 io a ping "$(cat before)" &&
	pings a b/home && pings b a/lab &&
	join b a office && reaches 30 a b/office && reaches 30 b a/office
'

test_expect 'a key that has expired lets nobody in' '
	mesh b mgmt-keys rm lab --yes && mesh a mgmt-keys rm lab --yes && found a guests --expires-in 1d && join b a guests &&
	reaches 30 a b/guests &&
	down a && down b && up_at +2d a && up_at +2d b &&
	reaches 30 a b/home &&
	holds a ".networks[] | select(.network == \"guests\") | .running == false and (.warnings[0].text | test(\"expired\"))" &&
	mesh a mgmt-keys rotate guests --expires-in 9d && join b a guests &&
	reaches 30 a b/guests && reaches 30 b a/guests
'

test_done

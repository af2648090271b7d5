#!/bin/sh
# Names as clients of a resolver see them: nodes, networks, both directions, UDP and TCP, and who wants whose name.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

# means HOST NAME TARGET: HOST's resolver has TARGET's addresses for NAME
means() {
	means_at=$(v4 "$1") && ask "$1" "$means_at" A "$2" >.a && grep "^$2 60 A $(v4 "$3")$" .a &&
		ask "$1" "$means_at" AAAA "$2" >.aaaa && grep "^$2 60 AAAA $(v6 "$3")$" .aaaa
}
# known HOST NAME: some address is known for it
known() {
	known_at=$(v4 "$1") && ask "$1" "$known_at" A "$2" >.a && grep "^rcode 0 flags qr,aa answers 1 " .a
}
# nowhere HOST NAME: there is no such name
nowhere() {
	nowhere_at=$(v4 "$1") && ask "$1" "$nowhere_at" A "$2" >.a && grep "^rcode 3 flags qr,aa answers 0 " .a
}

test_expect 'each knows the others by name' '
	lan wire && host nas laptop && plug nas wire 10.9.0.1/24 && plug laptop wire 10.9.0.2/24 &&
	found nas "Home network" && join laptop nas "Home network" && up nas && up laptop &&
	reaches 30 laptop nas && reaches 30 nas laptop &&
	test_wait 20 means laptop nas.mesh nas && means laptop laptop.mesh laptop && test_wait 20 means nas laptop.mesh laptop
'

test_expect 'behind the label of the network as well, in any case' '
	means laptop nas.home-network.mesh nas && means laptop NaS.mEsH nas && nowhere laptop nas.office.mesh
'

test_expect 'addresses have names' '
	at=$(v4 laptop) &&
	ask laptop "$at" PTR "$(v4 nas)" >out && grep "PTR nas.mesh$" out &&
	ask laptop "$at" PTR "$(v6 nas)" >out && grep "PTR nas.mesh$" out &&
	ask laptop "$at" PTR "$at" >out && grep "PTR laptop.mesh$" out &&
	# One of the range that nobody has.
	ask laptop "$at" PTR "$(echo "$at" | sed "s/[0-9]*$/255/")" >out && grep "^rcode 3 " out
'

test_expect 'what is not there is not there, and what is elsewhere is refused' '
	at=$(v4 laptop) && nowhere laptop printer.mesh && nowhere laptop x.y.z.mesh &&
	ask laptop "$at" TXT nas.mesh >out && grep "^rcode 0 flags qr,aa answers 0 " out &&
	ask laptop "$at" SOA mesh >out && grep "^rcode 0 " out &&
	ask laptop "$at" A example.org >out && grep "^rcode 5 " out &&
	ask laptop "$at" PTR 192.0.2.1 >out && grep "^rcode 5 " out
'

test_expect 'over TCP, over IPv6, with EDNS' '
	at=$(v4 laptop) && six=$(v6 laptop) && nas=$(v4 nas) &&
	ask laptop "$at" A nas.mesh tcp >out && grep " A $nas$" out && ! grep edns out &&
	ask laptop "$six" A nas.mesh >out && grep " A $nas$" out &&
	ask laptop "$six" A nas.mesh tcp edns=1232 >out && grep " A $nas$" out && grep "^edns 1232$" out &&
	ask laptop "$at" A nas.mesh edns=4096 >out && grep "^edns 1232$" out
'

test_expect 'the verb tells the same, as a table and as hosts(5)' '
	mesh laptop meshlan names >out && grep "^nas" out && grep -F "$(v4 nas)" out &&
	mesh laptop meshlan names --hosts >out && grep "^$(v4 nas)[[:space:]].*nas\.mesh" out && grep "^$(v6 nas)[[:space:]].*nas\.mesh" out
'

test_expect 'others do not ask this resolver, unless they are let in' '
	at=$(v4 laptop) && ! ask nas "$at" A nas.mesh 2>err && grep "^no answer" err &&
	mesh laptop policy allow udp:53 && test_wait 20 ask nas "$at" A nas.mesh && mesh laptop policy deny udp:53
'

test_expect 'a second one of that name does not get it' '
	host late && plug late wire 10.9.0.3/24 && join late nas "Home network" && up late --name nas &&
	reaches 30 laptop late && reaches 30 nas late && means laptop nas.mesh nas && test_wait 20 means late nas.mesh nas &&
	status laptop >out && id=$(jq -r ".networks[0].peers[] | select(.ipv4 == \"$(v4 nas)\").node" out) &&
	holds laptop ".networks[0].peers[] | select(.ipv4 == \"$(v4 late)\") | .name == \"nas\" and .name_held_by == \"$id\"" &&
	ask laptop "$(v4 laptop)" PTR "$(v4 late)" >out && ! grep "PTR nas.mesh$" out
'

test_expect 'called something else it has a name of its own, at the address it had' '
	v4 late >before && down late && up late --name attic && test_wait 30 means laptop attic.mesh late && means nas attic.mesh late &&
	[ "$(v4 late)" = "$(cat before)" ] && pings laptop late &&
	holds laptop "[.networks[0].peers[] | .name_held_by] == [null, null]"
'

test_expect 'a name that changes hands is told' '
	down nas && up nas --name cellar && test_wait 30 means laptop cellar.mesh nas && test_wait 30 nowhere laptop nas.mesh &&
	down late && up late --name nas && test_wait 30 means laptop nas.mesh late &&
	test_wait 30 holds laptop "[.networks[0].changes[].text | select(test(\"the name .nas. went from\"))] | length == 1"
'

test_expect 'after a restart names are there before any node is' '
	down nas && down late && down laptop && up laptop && test_wait 20 status laptop && crash laptop && up laptop &&
	test_wait 20 known laptop cellar.mesh && known laptop nas.mesh
'

test_expect 'where there is no systemd-resolved, status says what does not work, and the way out' '
	warned() { holds late "[.networks[0].warnings[] | select(.kind == \"dns\") | .text][0] |
		test(\"ssh nas[.]mesh.: cannot start .$TEST_DIR/none.: .*; install systemd-resolved, or .*names --hosts.\")"; } &&
	up late --name nas --resolvectl "$TEST_DIR/none" && test_wait 10 warned &&
	down late && up late --name nas && test_wait 10 v4 late && holds late "[.networks[0].warnings[].kind] | index(\"dns\") == null" && down late
'

test_expect 'two networks: the first one joined has the plain name, each has its own' '
	up nas --name cellar && up late --name nas && reaches 30 laptop nas late && found laptop office && join late laptop office &&
	reaches 30 laptop late/office && at=$(v4 laptop) &&
	ask laptop "$at" A nas.mesh >out && grep " A $(v4 late "Home network")$" out &&
	ask laptop "$at" A nas.office.mesh >out && grep " A $(v4 late office)$" out &&
	ask laptop "$(v4 laptop office)" A nas.home-network.mesh >out && grep " A $(v4 late "Home network")$" out
'

test_expect 'another suffix' '
	down laptop && up laptop --dns-suffix lab.internal && test_wait 30 means laptop cellar.lab.internal nas &&
	ask laptop "$(v4 laptop)" A cellar.mesh >out && grep "^rcode 5 " out
'

test_done

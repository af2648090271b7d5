#!/bin/sh
# Who reaches what: nobody anything, then what is allowed, for whom, for as long as it is; and nobody in another's name.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

# open|closed FROM PORT: of b, which serves it
open() {
	test_wait 20 io "$1" tcp-get "$(v4 b)" "$2" && io "$1" tcp-get "$(v6 b)" "$2"
}
closed() {
	closed_before=$(turned_away) && ! io "$1" tcp-get "$(v4 b)" "$2" 0.5 && ! io "$1" tcp-get "$(v6 b)" "$2" 0.5 &&
		[ "$(turned_away)" -ge $((closed_before + 2)) ]
}
# How many packets no rule of b let in.
turned_away() {
	status b | jq ".networks[0].figures.in.no_rule"
}
rules() {
	holds b ".networks[0].rules == $1"
}

test_expect 'nothing is let in, ping apart' '
	lan wire && host a b c && plug a wire 10.9.0.1/24 && plug b wire 10.9.0.2/24 && plug c wire 10.9.0.3/24 &&
	found a home && join b a home && join c a home && up a && up b && up c &&
	reaches 30 a b c && reaches 30 b c && reaches 30 c b &&
	serve b tcp "$(v4 b)" 5001 && serve b tcp "$(v6 b)" 5001 && serve b udp "$(v4 b)" 5002 && serve b talk "$(v4 b)" 5003 &&
	serve a talk "$(v4 a)" 5003 && serve a udp "$(v4 a)" 5002 &&
	closed a 5001 && ! io a udp-echo "$(v4 b)" 5002 100 1
'

test_expect 'what is allowed is let in at once, and no more' '
	mesh b policy allow tcp:5001 && open a 5001 && open c 5001 && closed a 5003 &&
	rules "[\"tcp:5001\"]" && ! io a udp-echo "$(v4 b)" 5002 100 1 &&
	mesh b policy allow udp:5000-5010 && test_wait 20 io a udp-echo "$(v4 b)" 5002 100 1 && closed a 5003
'

test_expect 'rules are for one node: the others have theirs' '
	! io b tcp-get "$(v4 a)" 5003 0.5 && mesh a policy list >out && ! grep 5001 out
'

test_expect 'it is for the callers that are named, and the service sees who calls' '
	mesh b policy allow tcp:5003 --from c && test_wait 20 io c tcp-get "$(v4 b)" 5003 &&
	! io a tcp-get "$(v4 b)" 5003 0.5 &&
	test_wait 20 grep "^called by $(v4 c)$" "serve-b-talk-$(v4 b)-5003.log" &&
	! grep "^called by $(v4 a)$" "serve-b-talk-$(v4 b)-5003.log"
'

test_expect 'explain says what is so' '
	mesh b meshlan explain b tcp:5003 --from c >out && grep -i "allow\|let in\|pass" out &&
	mesh b meshlan explain b tcp:5003 --from a >out; cat out; mesh b meshlan explain b tcp:5003 --from a | grep -i "no rule\|denied"
'

test_expect 'a right belongs to the node, not to its name' '
	down c && down a && up a --name c && up c --name a && reaches 30 a b && reaches 30 c b &&
	test_wait 20 io c tcp-get "$(v4 b)" 5003 && ! io a tcp-get "$(v4 b)" 5003 0.5 &&
	down c && down a && up a && up c && reaches 30 a b && reaches 30 c b
'

test_expect 'a connection that stands ends when it is denied' '
	test_start talk ip netns exec "$mesh_ns-c" perl "$TEST_SRC/tests/e2e/mesh-io.pl" talk "$(v4 b)" 5003 &&
	test_wait 20 grep "^beat 5$" talk.log && mesh b policy deny tcp:5003 && test_wait 20 grep broken talk.log &&
	! io c tcp-get "$(v4 b)" 5003 0.5 &&
	mesh b policy allow tcp:5003 && open c 5001 && test_wait 20 io c tcp-get "$(v4 b)" 5003
'

test_expect 'what is not about it goes on' '
	test_start talking ip netns exec "$mesh_ns-c" perl "$TEST_SRC/tests/e2e/mesh-io.pl" talk "$(v4 b)" 5003 &&
	test_wait 20 grep "^beat 5$" talking.log && mesh b policy deny tcp:5001 && mesh b policy deny udp:5000-5010 &&
	closed a 5001 && n=$(grep -c beat talking.log) && test_wait 20 grep "^beat $((n + 20))$" talking.log && ! grep broken talking.log
'

test_expect 'answers to what began here need no rule' '
	mesh a policy allow tcp:5003 && mesh a policy allow udp:5002 && test_wait 20 io b tcp-get "$(v4 a)" 5003 &&
	test_start begun ip netns exec "$mesh_ns-b" perl "$TEST_SRC/tests/e2e/mesh-io.pl" talk "$(v4 a)" 5003 &&
	test_wait 20 grep "^beat 20$" begun.log && io b udp-echo "$(v4 a)" 5002 700 20 &&
	mesh b policy deny tcp:5003 && n=$(grep -c beat begun.log) && test_wait 20 grep "^beat $((n + 20))$" begun.log
'

test_expect 'ping is asked for by rules as well' '
	pings a b && mesh b policy allow icmp --from c && test_wait 20 pings c b && ! pings a b &&
	mesh b policy deny icmp && ! pings c b && mesh b policy allow icmp && test_wait 20 pings a b && pings c b
'

test_expect 'rules hold over a restart, and from the first packet' '
	mesh b policy allow tcp:5001 --from c && crash b && up b && reaches 30 c b && open c 5001 && closed a 5001
'

# What a has no right to be: the far side drops it, whatever a's own node thinks of it.
test_expect 'nobody speaks in the name of another' '
	mesh b policy allow udp:5002-5004 && serve b udp "$(v6 b)" 5002 && dev=$(status a | jq -r ".networks[0].interface") &&
	onip a addr add "$(v4 c)/32" dev "$dev" && onip a addr add 192.0.2.9/32 dev "$dev" &&
	onip a addr add "$(v6 c)/128" dev "$dev" nodad &&
	at=$(v4 b) six=$(v6 b) not=$(v4 c) not6=$(v6 c) && pings a b &&
	let_in=$(status b | jq ".networks[0].figures.flows_let_in") &&
	io a udp-flood "$at" 5004 100 20 "$not" && io a udp-flood "$at" 5004 100 20 192.0.2.9 &&
	io a udp-flood "$six" 5004 100 20 "$not6" &&
	test_wait 20 holds b ".networks[0].figures | .of_a_foreign_address == 60 and .flows_let_in <= $let_in" &&
	for own in "$not" 192.0.2.9; do onip a addr del "$own/32" dev "$dev" || return 1; done &&
	onip a addr del "$not6/128" dev "$dev" && io a udp-echo "$at" 5002 100 3 && io a udp-echo "$six" 5002 100 3
'

test_expect 'networks are apart: what one allows, another does not' '
	found b lab && join a b lab && reaches 30 a b/lab && mesh b policy allow --network home tcp:5005 &&
	serve b tcp "$(v4 b lab)" 5005 && serve b tcp "$(v4 b home)" 5005 &&
	test_wait 20 io a tcp-get "$(v4 b home)" 5005 && ! io a tcp-get "$(v4 b lab)" 5005 0.5 &&
	mesh b policy allow --network lab tcp:5005 && test_wait 20 io a tcp-get "$(v4 b lab)" 5005
'

test_done

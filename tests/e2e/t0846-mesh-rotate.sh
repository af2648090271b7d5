#!/bin/sh
# The key of a network is changed under way: with grace for who gets it by hand, and with a list of who stays.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

generation() {
	holds "$1" ".networks[0].generation == $2"
}
# behind HOST: its status warns of members without the new key
behind() {
	holds "$1" "[.networks[0].warnings[].kind] | index(\"generation\") != null"
}
caught_up() {
	! behind "$1"
}
# silent A B: A has B's address of before, and hears nothing any more
silent() {
	! io "$1" ping "$(cat "$2.v4")" 1
}
# Six of one network on one wire.
six() {
	lan wire && six_n=0 && for h in a b c d e f; do
		six_n=$((six_n + 1)) && host $h && plug $h wire 10.9.0.$six_n/24 || return 1
	done &&
	found a home && for h in b c d e f; do join $h a home >/dev/null || return 1; done &&
	for h in a b c d e f; do up $h || return 1; done &&
	reaches 30 a b c d e f && reaches 30 b c d e f && reaches 30 c e f && reaches 30 d e f &&
	for h in a b c d e f; do v4 $h >$h.v4 || return 1; done
}

test_expect 'a new key by hand: whoever has it goes on, whoever has not as well, as long as there is grace' '
	six && mesh c policy allow tcp:5003 && serve c talk "$(v4 c)" 5003 && talks one b c &&
	mesh a mgmt-keys rotate home --grace 1h && test_wait 20 generation a 2 &&
	for h in b c; do secret a home new.key && mesh $h mgmt-keys add --key-file new.key && test_wait 20 generation $h 2 || return 1; done &&
	goes_on one && pings a b && pings b c && pings a d && pings d a && pings d e && pings e c && generation d 1 &&
	holds a "[.networks[0].warnings[] | select(.kind == \"generation\") | .text][0] |
		test(\"^[345] of the members are not known to have the new key, generation 2: .*; the former one holds until 20\")" &&
	holds a "[.networks[0].peers[] | select(.name == \"d\").generation] == [1]" && ! behind d
'

test_expect 'a restart between two generations' '
	crash b && up b && crash d && up d && reaches 30 b a c d && reaches 30 d a b e && [ "$(v4 b)" = "$(cat b.v4)" ] &&
	for h in d e f; do mesh $h mgmt-keys add --key-file new.key && test_wait 20 generation $h 2 || return 1; done &&
	reaches 30 d e f a && reaches 30 f a b c
'

test_expect 'whoever has only the former key is out when its grace is over' '
	mesh a mgmt-keys rotate home --grace 1s && secret a home new.key && test_wait 20 generation a 3 &&
	for h in b c; do mesh $h mgmt-keys add --key-file new.key || return 1; done &&
	reaches 30 b a && test_wait 60 silent a d && test_wait 60 silent d a && pings a b && pings c a &&
	mesh a meshlan status >out && cat out && grep "^d .* has an older key " out && grep "^warning: .* not have the key in force, generation 3, " out &&
	! mesh a meshlan ping d --count 1 --timeout 1s 2>err && cat err && grep "it has an older key of the network" err &&
	grep "^hint: .*compare .meshanics mgmt-keys list. on both" err &&
	for h in d e f; do mesh $h mgmt-keys add --key-file new.key && test_wait 20 generation $h 3 || return 1; done &&
	reaches 60 d a && reaches 60 a d e f && reaches 60 f b && goes_on one && test_wait 60 caught_up a
'

# f is away: it comes back below.
test_expect 'who is evicted is out at once, without a word to anybody else' '
	down f && talks two d c && talks three a c &&
	mesh a mgmt-keys rotate home --evict d >out && grep -i "evict" out &&
	for h in a b c e; do test_wait 60 generation $h 4 || return 1; done &&
	test_wait 30 silent a d && test_wait 30 silent b d && test_wait 30 silent c d && test_wait 30 silent e d && silent d c &&
	goes_on one && goes_on three && reaches 30 a b c e && reaches 30 e b c && [ "$(v4 e)" = "$(cat e.v4)" ] &&
	test_wait 20 holds b "[.networks[0].peers[] | select(.name == \"d\" and .state == \"connected\")] == []" &&
	holds b ".networks[0].peers[-1] | .name == \"d\" and .state == \"evicted\"" &&
	mesh b meshlan status >out && cat out && ! grep "^d " out && grep "^and 1 that was evicted: see --verbose$" out &&
	grep "^changed .*: .d., node [0-9a-f]*, is not on the owner.s list " out &&
	mesh b meshlan status --verbose >out && grep "^d .* evicted " out
'

test_expect 'neither a restart nor a new id brings it back' '
	crash d && up d && sleep 3 && silent d a && silent d b && silent d c &&
	old=$(mesh d mgmt-keys show home --quiet) && (umask 077 && echo "$old" >old.key) &&
	down d && mesh d mgmt-keys rm home --yes && mesh d mgmt-keys add --key-file old.key >out && up d &&
	test_wait 20 v4 d >d.new && sleep 3 && ! io d ping "$(cat a.v4)" && ! io d ping "$(cat b.v4)" &&
	holds d "[.networks[0].peers[] | select(.state == \"connected\")] == []" &&
	for h in a b c e; do holds $h "[.networks[0].peers[].state | select(. == \"connected\")] | length <= 3" || return 1; done
'

test_expect 'a member that was away gets the new key from whoever it meets' '
	down a && up f && test_wait 60 generation f 4 && reaches 60 f b c e && reaches 30 b f && [ "$(v4 f)" = "$(cat f.v4)" ] &&
	up a && reaches 30 f a && silent d f
'

test_expect 'members that are killed keep who is out' '
	for h in a b c e f; do crash $h && up $h || return 1; done && reaches 60 b a c e f && reaches 60 a e f &&
	silent a d && silent d b && for h in a b c e f; do generation $h 4 || return 1; done
'

test_expect 'with the new key by hand it is a member again, under its new id' '
	secret a home new.key && mesh d mgmt-keys add --key-file new.key && reaches 60 d a b c && reaches 30 a d
'

test_done

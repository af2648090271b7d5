#!/bin/sh
# Twenty machines of which each was told of one: all pairs find each other, also after the wire was in two, and when
# they are killed and started at random.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

all='h1 h2 h3 h4 h5 h6 h7 h8 h9 h10 h11 h12 h13 h14 h15 h16 h17 h18 h19 h20'
left='h1 h2 h3 h4 h5 h6 h7 h8 h9 h10' right='h11 h12 h13 h14 h15 h16 h17 h18 h19 h20'

start() {
	for h in "$@"; do
		case $h in
		h1) up h1 --no-discovery || return 1 ;;
		*) up "$h" --no-discovery --peer 10.9.0.1:7784 || return 1 ;;
		esac
	done
}
# knows HOST N: records of so many others
knows() {
	holds "$1" ".networks[0].peers | map(select(.ipv4 != null)) | length == $2"
}
# The addresses of these, which stay.
note() {
	for h in "$@"; do
		v4 "$h" >"$h.v4" || return 1
	done
}
# pairs SECONDS HOST...: each of them hears each, within so long for each of them
pairs() {
	pairs_limit=$1
	shift
	for h in "$@"; do
		pairs_to=''
		for o in "$@"; do
			[ "$o" = "$h" ] || pairs_to="$pairs_to $(cat "$o.v4")"
		done
		# shellcheck disable=SC2086 # addresses
		io "$h" ping-all "$pairs_limit" $pairs_to || {
			echo "not all heard by $h:" && tail -n 12 "$h.log"
			return 1
		}
	done
}
# N of HOST's peers are connected
connected() {
	status "$1" | jq '.networks[0].peers | map(select(.state == "connected")) | length'
}

test_expect 'twenty that were told of one' '
	lan wire && n=0 && for h in $all; do
		n=$((n + 1)) && host $h && plug $h wire 10.9.0.$n/24 || return 1
	done &&
	found h1 home && for h in $all; do [ $h = h1 ] || join $h h1 home >/dev/null || return 1; done &&
	start $all && for h in $all; do test_wait 60 knows $h 19 || return 1; done
'

test_expect 'all pairs' '
	note $all && pairs 30 $all && [ "$(cat ./*.v4 | sort -u | wc -l)" -eq 20 ] && [ "$(connected h7)" -eq 19 ]
'

# An hour of a wire in two is not waited for: a kill makes each half forget the sessions with the other.
test_expect 'in two halves, each goes on' '
	on lan-wire nft "add rule bridge t c iifname { $(echo $left | tr " " ,) } oifname { $(echo $right | tr " " ,) } drop" &&
	on lan-wire nft "add rule bridge t c iifname { $(echo $right | tr " " ,) } oifname { $(echo $left | tr " " ,) } drop" &&
	for h in h2 h3 h12 h13; do crash $h && start $h || return 1; done &&
	pairs 30 $left && pairs 30 $right && ! io h12 ping "$(cat h2.v4)" && ! io h1 ping "$(cat h20.v4)"
'

test_expect 'a newcomer in one half has no address of the other' '
	host h21 && plug h21 wire 10.9.0.21/24 && join h21 h1 home && up h21 --no-discovery --peer 10.9.0.1:7784 &&
	test_wait 60 v4 h21 && note h21 && test_wait 60 io h2 ping "$(cat h21.v4)"
'

test_expect 'and together again' '
	heal wire && pairs 60 $all && for h in h2 h13 h20; do test_wait 60 io $h ping "$(cat h21.v4)" || return 1; done &&
	for h in $all; do [ "$(v4 $h)" = "$(cat $h.v4)" ] || return 1; done
'

test_expect 'a storm of kills and restarts' '
	for round in 1 2 3; do
		for h in $(echo $all | tr " " "\n" | shuf -n 8 --random-source=$TEST_SRC/tests/e2e/lib.sh); do
			crash $h 2>/dev/null && start $h || return 1
		done
	done &&
	pairs 60 $all && for h in $all; do [ "$(v4 $h)" = "$(cat $h.v4)" ] && holds $h ".networks[0].warnings == []" || return 1; done
'

test_expect 'all at once, as after a power cut' '
	for h in $all; do crash $h 2>/dev/null || return 1; done; start $all && pairs 60 $all
'

test_done

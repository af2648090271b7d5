#!/bin/sh
# Two machines behind two NAT boxes that neither can call, and a third that both reach: straight through the boxes where they
# are of the kind that lets it, through the third where not; and which of both it is, is said.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"

# The Internet, with member m in it, and boxes na and nb of these kinds before a and b; both sides have one private range.
world() {
	clear_all
	for w in a b; do ! [ -e $w.pid ] || crash $w; done
	rm -rf a b m ./*.log
	lan net && lan la && lan lb && host m na nb a b &&
		plug m net 203.0.113.10/24 && plug na net 203.0.113.1/24 && plug nb net 203.0.113.2/24 &&
		plug na la 192.168.1.1/24 && plug nb lb 192.168.1.1/24 &&
		plug a la 192.168.1.20/24 && plug b lb "${3:-192.168.1.21}/24" &&
		route a default 192.168.1.1 && route b default 192.168.1.1 &&
		nat na net "$1" 192.168.1.20 && nat nb net "$2" "${3:-192.168.1.21}" &&
		found m home && join a m home && join b m home && start m a b
}
start() {
	for w in "$@"; do
		case $w in
		m) up m || return 1 ;;
		*) up "$w" --peer 203.0.113.10:7784 || return 1 ;;
		esac
	done
}
# path A B PATH: how A says that it reaches B
path() {
	holds "$1" ".networks[0].peers[] | select(.name == \"$2\") | .state == \"connected\" and .path == \"$3\""
}
direct() {
	test_wait 30 path "$1" "$2" direct && holds "$1" ".networks[0].peers[] | select(.name == \"$2\") |
		.via == null and (.endpoint | startswith(\"$3:\"))"
}
relayed() {
	test_wait 30 path "$1" "$2" peer && holds "$1" ".networks[0].peers[] | select(.name == \"$2\") | .via == \"m\""
}

test_expect 'through two boxes that keep ports: the third introduces them' '
	world cone cone && reaches 30 a m && reaches 30 b m && reaches 30 a b && reaches 30 b a &&
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
	crash b && start b && reaches 30 b a && reaches 30 a b && direct a b 203.0.113.2 && direct b a 203.0.113.1
'

test_expect 'the very same private address on both sides' '
	world cone cone 192.168.1.20 && reaches 30 a m && reaches 30 b m && reaches 30 a b && reaches 30 b a &&
	direct a b 203.0.113.2 && direct b a 203.0.113.1
'

test_expect 'a box that lets everybody in, and one that takes another port for each' '
	world full symmetric && reaches 30 a m && reaches 30 b m && reaches 30 a b && reaches 30 b a &&
	direct a b 203.0.113.2 && direct b a 203.0.113.1
'

test_expect 'two boxes that take another port for each: through the third' '
	world symmetric symmetric && reaches 30 a m && reaches 30 b m && reaches 30 a b && reaches 30 b a &&
	relayed a b && relayed b a && pings a b 1300 && test_wait 20 pings6 b a 4000 &&
	mesh a meshlan ping b --count 1 >out && grep "m" out
'

test_expect 'streams pass through the third as well' '
	mesh b policy allow tcp:5001 && serve b tcp "$(v4 b)" 5001 && test_wait 20 io a tcp-get "$(v4 b)" 5001 &&
	io a tcp-send "$(v4 b)" 5001 2000000
'

# It reads nothing of it, and may not: what passes is sealed between a and b, and m knows no address of it.
test_expect 'without the third there is no way, and with it there is one again' '
	crash m && test_wait 60 sh -c "! ip netns exec $mesh_ns-a perl $TEST_SRC/tests/e2e/mesh-io.pl ping $(v4 b) 1" &&
	up m && reaches 60 a b && reaches 60 b a && relayed a b
'

test_expect 'a box that becomes kinder: straight from then on' '
	# What stood through them goes as well: with its interface the kernel forgets whom it masked there.
	for w in na nb; do
		on $w nft flush ruleset && nat $w net cone && onip $w link set dev net down && onip $w link set dev net up || return 1
	done &&
	reaches 60 a b && direct a b 203.0.113.2 && direct b a 203.0.113.1 && pings a b && pings b a
'

test_expect 'two behind one box talk inside' '
	world symmetric symmetric && host c && plug c la 192.168.1.30/24 && route c default 192.168.1.1 &&
	join c m home && start c && reaches 30 a c && reaches 30 c a && reaches 30 c b && test_wait 30 path a c lan
'

test_done

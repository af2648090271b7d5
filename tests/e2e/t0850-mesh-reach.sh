#!/bin/sh
# What is reached behind a node: services wherever they listen, and devices that run nothing of ours; and how they see
# who calls.
. "$(dirname "$0")/lib.sh"

test_need_root
test_need ip ss perl jq
[ -c /dev/net/tun ] || {
	echo '1..0 # SKIP no /dev/net/tun'
	exit 0
}

IO=$TEST_SRC/tests/e2e/reach-io.pl
PING=$TEST_SRC/tests/e2e/mesh-io.pl
NS=reach$$
HOST=$TEST_DIR

# laptop --10.9.0.0/24-- nas --192.168.1.0/24-- printer
unwire() {
	for w in laptop nas printer; do
		for p in $(ip netns pids "$NS-$w" 2>/dev/null); do
			kill -9 "$p" 2>/dev/null
		done
		ip netns del "$NS-$w" 2>/dev/null
	done
	:
}
# However it ends, also early.
ended() {
	code=$?
	unwire
	(exit $code)
	test_exit
}
trap ended EXIT
laptop() { ip netns exec "$NS-laptop" "$@"; }
nas() { ip netns exec "$NS-nas" "$@"; }
printer() { ip netns exec "$NS-printer" "$@"; }
wire() {
	unwire
	for w in laptop nas printer; do
		ip netns add "$NS-$w" && ip -n "$NS-$w" link set lo up || return 1
	done
	ip link add e0 netns "$NS-laptop" type veth peer name e0 netns "$NS-nas" &&
	ip link add e1 netns "$NS-nas" type veth peer name e0 netns "$NS-printer" &&
	ip -n "$NS-laptop" addr add 10.9.0.1/24 dev e0 && ip -n "$NS-nas" addr add 10.9.0.2/24 dev e0 &&
	ip -n "$NS-nas" addr add 192.168.1.1/24 dev e1 && ip -n "$NS-printer" addr add 192.168.1.50/24 dev e0 &&
	ip -n "$NS-nas" addr add fd99::1/64 dev e1 nodad && ip -n "$NS-printer" addr add fd99::50/64 dev e0 nodad &&
	ip -n "$NS-laptop" link set e0 up && ip -n "$NS-nas" link set e0 up &&
	ip -n "$NS-nas" link set e1 up && ip -n "$NS-printer" link set e0 up
}

run_node() {
	test_start "$1" ip netns exec "$NS-$1" meshanics meshlan run --home "$HOST/$1" --name "$1" --listen :7784 --no-dns
}
# of NODE WHAT: of its only network.
of() {
	meshanics meshlan status --home "$HOST/$1" --json | jq -er ".networks[0].$2"
}
# In the background, in a namespace: once it listens.
serve() {
	w=$1 log=serve-$(echo "$*" | tr -c '0-9a-z\n' '-').log
	shift
	ip netns exec "$NS-$w" perl "$IO" serve "$@" >"$log" 2>&1 3>&- &
	echo $! >"$log.pid"
	test_wait 10 grep -q listening "$log"
}
# sees WHERE ADDRESS PORT WHOM [OWN]: asked from there, the service says that it sees the caller as that.
sees() {
	w=$1 proto=$2 address=$3 port=$4 whom=$5 own=${6-}
	"$w" perl "$IO" ask "$proto" "$address" "$port" 45678 >asked || {
		cat asked
		return 1
	}
	cat asked
	case $own in
	'') grep -q "^$whom 45678 " asked ;;
	*) grep -q "^$whom 45678 $own " asked ;;
	esac
}
both() {
	sees laptop tcp "$1" "$2" "$3" "${4-}" && sees laptop udp "$1" "$2" "$3" "${4-}"
}
refused() {
	! "$1" perl "$IO" ask "$2" "$3" "$4" >asked
	cat asked
	grep "^error: $5" asked
}

# ---------------------------------------------------------------------------------------------------------------

test_expect 'two nodes of one network, and a device that only one of them reaches' '
	wire &&
	meshanics mgmt-keys add --home "$HOST/nas" --name home --caps mesh-route --never-expires \
		--allow tcp:1-65535 --allow udp:1-65535 --ipv4-range 198.18.0.0/19 &&
	meshanics mgmt-keys show home --home "$HOST/nas" --quiet >key && chmod 600 key &&
	meshanics mgmt-keys add --home "$HOST/laptop" --key-file key --name home --caps mesh-route --allow tcp:9999 &&
	meshanics forward add printer 192.168.1.50 --home "$HOST/nas" &&
	meshanics forward add camera fd99::50 --home "$HOST/nas" &&
	run_node nas && run_node laptop &&
	test_wait 20 sh -c "meshanics meshlan status --home \"$HOST/laptop\" --json | jq -e \".networks[0].peers[0].name == \\\"nas\\\"\"" &&
	nas4=$(of nas self.ipv4) nas6=$(of nas self.ipv6) laptop4=$(of laptop self.ipv4) laptop6=$(of laptop self.ipv6) &&
	printer4=$(of nas "forwards[] | select(.name == \"printer\").ipv4") &&
	printer6=$(of nas "forwards[] | select(.name == \"printer\").ipv6") &&
	camera4=$(of nas "forwards[] | select(.name == \"camera\").ipv4") &&
	camera6=$(of nas "forwards[] | select(.name == \"camera\").ipv6") &&
	echo "$nas4 $nas6 $laptop4 $laptop6 $printer4 $printer6 $camera4 $camera6" &&
	test_wait 20 laptop perl "$PING" ping "$nas4" 1
'

# ---- services ----

test_expect 'a service on 127.0.0.1 sees the mesh address of its caller' '
	serve nas tcp 127.0.0.1 8001 && serve nas udp 127.0.0.1 8001 &&
	both "$nas4" 8001 "$laptop4" 127.0.0.1
'
test_expect 'a service on ::1 sees the mesh address of its caller' '
	serve nas tcp ::1 8002 && serve nas udp ::1 8002 &&
	both "$nas6" 8002 "$laptop6" ::1
'
test_expect 'a service on loopback of one family is reached by the other, too' '
	sees laptop tcp "$nas6" 8001 "$laptop4" 127.0.0.1 &&
	laptop perl "$IO" ask udp "$nas6" 8001 45678 | grep "^$laptop4 [0-9]* 127.0.0.1 " &&
	sees laptop tcp "$nas4" 8002 "$laptop6" ::1 &&
	laptop perl "$IO" ask udp "$nas4" 8002 | grep "^$laptop6 [0-9]* ::1 "
'
test_expect 'datagrams of one port to both addresses stay apart, wherever the service listens' '
	serve nas udp 127.0.0.1 8021 && serve nas udp ::1 8022 &&
	serve nas udp 127.0.0.1 8023 && serve nas udp ::1 8023 &&
	for port in 8021 8022 8023; do
		laptop perl "$IO" apart "$nas4" "$nas6" $port 45679 && laptop perl "$IO" apart "$nas6" "$nas4" $port 45680 || return 1
	done
'
test_expect 'a service on 127.0.0.53 is reached' '
	serve nas tcp 127.0.0.53 8003 && serve nas udp 127.0.0.53 8003 &&
	both "$nas4" 8003 "$laptop4" 127.0.0.53
'
test_expect 'a service on all addresses is reached as it is' '
	serve nas tcp 0.0.0.0 8004 && serve nas udp 0.0.0.0 8004 &&
	both "$nas4" 8004 "$laptop4" &&
	sees laptop tcp "$nas4" 8004 "$laptop4" "$nas4" &&
	serve nas tcp :: 8005 && serve nas udp :: 8005 &&
	both "$nas6" 8005 "$laptop6" &&
	serve nas tcp :: 8006 both && serve nas udp :: 8006 both &&
	both "$nas6" 8006 "$laptop6" && both "$nas4" 8006 "$laptop4"
'
test_expect 'a service on all addresses of one family is reached by the other, by TCP; datagrams are refused' '
	sees laptop tcp "$nas6" 8004 "$laptop4" && sees laptop tcp "$nas4" 8005 "$laptop6" &&
	refused laptop udp "$nas6" 8004 "Connection refused" && refused laptop udp "$nas4" 8005 "Connection refused"
'
test_expect 'a service on the mesh address is reached as it is' '
	serve nas tcp "$nas4" 8007 && serve nas udp "$nas4" 8007 &&
	serve nas tcp "$nas6" 8007 && serve nas udp "$nas6" 8007 &&
	both "$nas4" 8007 "$laptop4" "$nas4" && both "$nas6" 8007 "$laptop6" "$nas6"
'
test_expect 'a service on one LAN address sees the mesh address of its caller' '
	serve nas tcp 192.168.1.1 8008 && serve nas udp 192.168.1.1 8008 &&
	serve nas tcp fd99::1 8008 && serve nas udp fd99::1 8008 &&
	both "$nas4" 8008 "$laptop4" 192.168.1.1 && both "$nas6" 8008 "$laptop6" fd99::1
'
test_expect 'large datagrams go there and back in fragments' '
	laptop perl "$IO" ask udp "$nas4" 8001 0 4000 | grep "length 4000" &&
	laptop perl "$IO" ask udp "$nas6" 8002 0 4000 | grep "length 4000" &&
	laptop perl "$IO" ask udp "$nas4" 8008 0 4000 | grep "length 4000" &&
	laptop perl "$IO" ask udp "$nas6" 8008 0 4000 | grep "length 4000"
'
test_expect 'nobody listens: refused at once' '
	refused laptop tcp "$nas4" 8099 "Connection refused after [0-9][0-9]\{0,2\}\$" &&
	refused laptop tcp "$nas6" 8099 "Connection refused after [0-9][0-9]\{0,2\}\$" &&
	refused laptop udp "$nas4" 8099 "Connection refused after [0-9][0-9]\{0,2\}\$"
'
test_expect 'a service that goes is missed, one that comes is found' '
	kill "$(cat serve-nas-tcp-127-0-0-1-8001.log.pid)" && sleep 1 &&
	refused laptop tcp "$nas4" 8001 "Connection refused" &&
	serve nas tcp 127.0.0.1 8001 && sleep 0.1 &&
	sees laptop tcp "$nas4" 8001 "$laptop4" 127.0.0.1
'
test_expect 'one that listens in two places at once is asked where nothing is in between' '
	serve nas tcp 127.0.0.1 8010 && serve nas tcp 192.168.1.1 8010 &&
	sees laptop tcp "$nas4" 8010 "$laptop4" 192.168.1.1
'
test_expect 'many connections at once, and many bytes' '
	serve nas echo 127.0.0.1 8011 && serve nas echo 192.168.1.1 8012 &&
	laptop perl "$IO" many "$nas4" 8011 200 | grep "answered 200" &&
	laptop perl "$IO" copy "$nas4" 8011 20000000 | grep same &&
	laptop perl "$IO" copy "$nas4" 8012 20000000 | grep same
'
test_expect 'the answer of a service that has read enough arrives whole, and its reset after it' '
	serve nas enough 127.0.0.1 8013 && serve nas enough ::1 8014 &&
	for round in 1 2 3; do
		laptop perl "$IO" upload "$nas4" 8013 && laptop perl "$IO" upload "$nas6" 8014 || return 1
	done >uploaded && cat uploaded &&
	test "$(grep -c "answered 30000, \(Connection reset by peer\|Broken pipe\)" uploaded)" = 6
'
# The printer is a member for a moment.
test_expect 'who takes all places for services on ::1 leaves some to others' '
	serve nas udp ::1 8024 &&
	laptop perl "$IO" crowd "$nas6" 8024 530 >crowded && cat crowded && grep "answered 5[01][0-9]\$" crowded &&
	meshanics mgmt-keys add --home "$HOST/printer" --key-file key --name home --caps mesh-route &&
	run_node printer && test_wait 20 printer perl "$PING" ping "$nas4" 1 &&
	sees printer tcp "$nas6" 8002 "$(of printer self.ipv6)" ::1 &&
	sees printer udp "$nas6" 8024 "$(of printer self.ipv6)" ::1 &&
	test_stop printer
'
test_expect 'what is not allowed is reached by none of these ways' '
	serve laptop tcp 127.0.0.1 9998 && serve laptop tcp 127.0.0.1 9999 &&
	sees nas tcp "$laptop4" 9999 "$nas4" &&
	refused nas tcp "$laptop4" 9998 nothing
'
test_expect 'route_localnet stays off, and the rule is for answers from loopback alone' '
	nas sysctl -n net.ipv4.conf.all.route_localnet net.ipv4.conf.lo.route_localnet | grep -v 0 | wc -l | grep "^0" &&
	ip -n "$NS-nas" rule | grep "from 127.0.0.0/8 to 198.18.0.0/19 iif lo lookup 7784" &&
	ip -n "$NS-nas" -6 rule | grep "from ::1 to $laptop6 iif lo ipproto udp sport 8002 dport [0-9]* lookup 7784" &&
	! ip -n "$NS-nas" -6 rule | grep "to fd12:.*/48.*lookup 7784" &&
	ip -n "$NS-nas" route show table 7784 | grep "^local 198.18.0.0/19 dev lo"
'
test_expect 'who throws the rule away gets it back' '
	ip -n "$NS-nas" rule del table 7784 && sleep 1.1 &&
	sees laptop tcp "$nas4" 8001 "$laptop4" 127.0.0.1
'

# ---- devices ----

test_expect 'a device is reached by its own address in the mesh, on the port that was asked for' '
	serve printer tcp 192.168.1.50 631 && serve printer udp 192.168.1.50 161 &&
	serve printer tcp fd99::50 554 && serve printer udp fd99::50 554 &&
	laptop perl "$IO" ask tcp "$printer4" 631 | grep "^192.168.1.1 " &&
	laptop perl "$IO" ask udp "$printer4" 161 | grep "^192.168.1.1 " &&
	laptop perl "$IO" ask tcp "$camera6" 554 | grep "^fd99::1 " &&
	laptop perl "$IO" ask udp "$camera6" 554 | grep "^fd99::1 "
'
test_expect 'the family of the caller is not that of the device' '
	laptop perl "$IO" ask tcp "$printer6" 631 | grep "^192.168.1.1 " &&
	laptop perl "$IO" ask udp "$camera4" 554 | grep "^fd99::1 "
'
test_expect 'ports of the node are not those of the device' '
	refused laptop tcp "$printer4" 8004 "Connection refused"
'
test_expect 'what the device refuses is refused, what it has not is unreachable' '
	refused laptop tcp "$printer4" 632 "Connection refused after [0-9][0-9]\{0,2\}\$" &&
	refused laptop tcp "$camera6" 632 "Connection refused after [0-9][0-9]\{0,2\}\$" &&
	refused laptop udp "$printer4" 162 "Connection refused after [0-9][0-9]\{0,2\}\$" &&
	refused laptop udp "$camera6" 162 "Connection refused after [0-9][0-9]\{0,2\}\$"
'
test_expect 'ping is answered by the device itself' '
	laptop perl "$PING" ping "$printer4" 3 && laptop perl "$PING" ping "$printer6" 3 &&
	laptop perl "$PING" ping "$camera6" 3 1200 && laptop perl "$PING" ping "$camera4" 3
'
test_expect 'the node reaches its own forwards by their addresses' '
	nas perl "$IO" ask tcp "$printer4" 631 | grep "^192.168.1.1 " &&
	nas perl "$IO" ask udp "$printer4" 161 | grep "^192.168.1.1 " &&
	nas perl "$IO" ask tcp "$camera6" 554 | grep "^fd99::1 " &&
	nas perl "$PING" ping "$printer4" 3 && nas perl "$PING" ping "$camera6" 3 &&
	refused nas tcp "$printer4" 632 "Connection refused after [0-9][0-9]\{0,2\}\$" &&
	serve printer echo 192.168.1.50 7000 &&
	nas perl "$IO" copy "$printer4" 7000 20000000 | grep same &&
	laptop perl "$IO" copy "$printer4" 7000 20000000 | grep same
'
# unreachable ADDRESS CODE: told, within the time that the node needs to look for the device.
unreachable() {
	! laptop perl "$PING" ping "$1" 3 >pinged
	cat pinged
	grep "^unreachable $2 " pinged
}
test_expect 'a forward that is removed is gone at once, with what went through it' '
	ip netns exec "$NS-laptop" perl "$IO" hold "$printer4" 7000 >held 2>&1 3>&- &
	test_wait 10 grep -q open held &&
	printer ss -tnH state established | grep 7000 &&
	meshanics forward rm printer --home "$HOST/nas" &&
	test_wait 10 sh -c "! ip netns exec \"$NS-printer\" ss -tnH state established | grep 7000" &&
	unreachable "$printer4" 3.1 && unreachable "$printer6" 1.3 &&
	unreachable "${printer4%.*}.$((${printer4##*.} / 8 * 8))" 3.1 && unreachable "${printer6%::*}::9" 1.3 &&
	refused laptop tcp "$printer4" 631 "No route to host" && refused laptop tcp "$printer6" 631 "No route to host" &&
	meshanics forward add printer 192.168.1.50 --home "$HOST/nas" &&
	test_wait 10 laptop perl "$PING" ping "$printer4" 1 &&
	laptop perl "$IO" ask tcp "$printer4" 631 | grep "^192.168.1.1 "
'
test_expect 'a device that is off is unreachable' '
	ip -n "$NS-printer" link set e0 down &&
	unreachable "$printer4" 3.1 && unreachable "$printer6" 1.3 && unreachable "$camera6" 1.3 &&
	refused laptop tcp "$printer4" 631 "No route to host" &&
	refused laptop tcp "$camera6" 554 "No route to host" &&
	refused laptop udp "$printer4" 161 "No route to host" &&
	refused nas tcp "$printer4" 631 "No route to host"
'
test_expect 'it is there again when it is on' '
	ip -n "$NS-printer" link set e0 up && ip -n "$NS-printer" addr replace fd99::50/64 dev e0 nodad &&
	test_wait 10 laptop perl "$PING" ping "$printer4" 1 &&
	test_wait 10 laptop perl "$PING" ping "$camera6" 1 &&
	laptop perl "$IO" ask tcp "$printer4" 631 | grep "^192.168.1.1 "
'

# ---- the end ----

test_expect 'a killed process leaves its rule, and the next one takes it up and removes it' '
	test_crash nas && ip -n "$NS-nas" rule | grep "lookup 7784" &&
	run_node nas && test_wait 20 laptop perl "$PING" ping "$nas4" 1 &&
	test_wait 20 sees laptop tcp "$nas4" 8001 "$laptop4" 127.0.0.1 &&
	test "$(ip -n "$NS-nas" rule | grep -c "lookup 7784")" = 1 &&
	test_stop nas &&
	! ip -n "$NS-nas" rule | grep "lookup 7784" &&
	! ip -n "$NS-nas" -6 rule | grep "lookup 7784" &&
	test -z "$(ip -n "$NS-nas" route show table 7784)$(ip -n "$NS-nas" -6 route show table 7784)"
'
test_expect 'all ends well' '
	test_stop laptop
'
unwire
test_done

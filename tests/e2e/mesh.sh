# A mesh on this one machine, read after lib.sh: each host is a network namespace, each LAN a bridge in one of its own,
# NAT boxes and bad wires are nftables. Names of namespaces carry this shell's pid, so that tests run side by side; whatever
# way the test ends, they go, with all that runs in them.
#
#	lan NAME			a wire with a switch
#	host NAME			a machine with nothing plugged in
#	plug HOST LAN ADDR/LEN...	an interface called LAN; IPv6 as well
#	unplug HOST LAN
#	route HOST DEST VIA		"default" or a prefix
#	router HOST			passes packets on
#	nat HOST LAN KIND		a router that hides what is behind it at its interface LAN: "cone" keeps ports,
#					and lets in who was spoken to; "full" lets in everybody (HOST TARGET follow: the
#					one machine behind it); "symmetric" takes another port for each target
#	drop LAN A B			the switch drops all from port A to port B, silently; both ways: call it twice
#	lossy LAN PERCENT		the switch drops that many, at random
#	heal LAN			neither of both any more
#	on HOST CMD...			run CMD there
#
#	mesh HOST VERB ARG...		meshanics VERB ARG... there, with HOST's home
#	found HOST NETWORK ARG...	makes a network
#	join HOST OWNER NETWORK ARG...	joins that of OWNER
#	up HOST [ARG...]		meshanics meshlan run there; its node is called HOST unless there is a --name
#	down HOST, crash HOST		ends it well, or as a power cut would; only then its log begins anew
#	status HOST			its JSON
#	holds HOST FILTER		jq -e of its status
#	v4 HOST [NETWORK], v6 ...	its own address in the mesh
#	pings A B [SIZE], pings6 ...	A hears B's answer, once
#	reaches SECONDS A B...		A hears each B, sooner or later; by IPv6: reaches6. B may be HOST/NETWORK
#	serve HOST tcp|udp ADDR PORT	something that answers, for tcp-get, tcp-send, udp-echo of mesh-io.pl
#	talks NAME A B, goes_on NAME	a connection that stays
#	boxes KIND KIND [ADDR]		a and b behind boxes na and nb of these kinds (nat), and m that both reach, up; what was before
#					goes. ADDR is b's
#	boxes_up HOST...		up, with m as the configured peer of all others
#	path A B PATH			A says that it reaches B so; direct A B ADDR, relayed A B: sooner or later, and where
#	io HOST VERB ARG...		mesh-io.pl there
#	ask HOST SERVER TYPE NAME ...	mesh-dns.pl there

test_need_root
test_need ip nft perl jq
mesh_ns=m$$
mesh_all=''

mesh_exit() {
	mesh_code=$?
	for mesh_v in $mesh_all; do
		ip netns del "$mesh_ns-$mesh_v" 2>/dev/null
	done
	(exit $mesh_code)
	test_exit
}
trap mesh_exit EXIT

# A sandbox may have root and no namespaces.
mesh_may() {
	ip netns add "$mesh_ns-may" && ip netns exec "$mesh_ns-may" test -c /dev/net/tun && ip netns del "$mesh_ns-may"
}
if ! mesh_may 2>/dev/null; then
	ip netns del "$mesh_ns-may" 2>/dev/null
	echo "1..0 # SKIP no network namespace" >&3
	test_finished=1
	exit 0
fi

on() {
	on_host=$1
	shift
	ip netns exec "$mesh_ns-$on_host" "$@"
}
onip() {
	on_host=$1
	shift
	ip -n "$mesh_ns-$on_host" "$@"
}

# As in lib.sh, but by the clock: a ping that nobody answers takes two seconds.
test_wait() {
	test_end=$(($(date +%s) + $1))
	shift
	until "$@" >"$TEST_DIR/.wait" 2>&1; do
		if [ "$(date +%s)" -ge "$test_end" ]; then
			cat "$TEST_DIR/.wait" >&2
			echo "test_wait: never came true: $*" >&2
			return 1
		fi
		sleep 0.1
	done
}

# ---- wires ----

# New ones only: namespaces of a scenario before go first.
clear_all() {
	for mesh_v in $mesh_all; do
		for mesh_p in $(ip netns pids "$mesh_ns-$mesh_v"); do
			kill -KILL "$mesh_p" 2>/dev/null
		done
		ip netns del "$mesh_ns-$mesh_v"
	done
	mesh_all=''
}

host() {
	for host_name in "$@"; do
		ip netns add "$mesh_ns-$host_name" && mesh_all="$mesh_all $host_name" &&
			onip "$host_name" link set dev lo up || return 1
		# As distributions have it: with the first address of a network the others do not go.
		on "$host_name" sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/promote_secondaries' || return 1
	done
}

lan() {
	host "lan-$1" && onip "lan-$1" link add sw type bridge mcast_snooping 0 && onip "lan-$1" link set dev sw up &&
		on "lan-$1" nft 'add table bridge t; add chain bridge t c { type filter hook forward priority 0; }'
}

plug() {
	plug_host=$1 plug_lan=$2
	shift 2
	onip "$plug_host" link add "$plug_lan" type veth peer name "$plug_host" netns "$mesh_ns-lan-$plug_lan" &&
		onip "lan-$plug_lan" link set dev "$plug_host" master sw up || return 1
	for plug_addr in "$@"; do
		addr "$plug_host" "$plug_lan" "$plug_addr" || return 1
	done
	onip "$plug_host" link set dev "$plug_lan" up
}

# One more address; without the second that it takes to find out that nobody else has it.
addr() {
	case $3 in
	*:*) onip "$1" addr add "$3" dev "$2" nodad ;;
	*) onip "$1" addr add "$3" dev "$2" ;;
	esac
}

unplug() {
	onip "$1" link del dev "$2"
}

route() {
	onip "$1" route add "$2" via "$3"
}

router() {
	on "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
}

nat() {
	nat_out=$(onip "$1" -json -4 addr show dev "$2" | jq -r '.[0].addr_info[0].local') || return 1
	case $3 in
	cone) nat_rule='masquerade' nat_in='' ;;
	symmetric) nat_rule='masquerade fully-random' nat_in='' ;;
	full) nat_rule='masquerade' nat_in="add rule ip n in iifname $2 udp dport 1024-65535 dnat to $4" ;;
	esac
	# As boxes do, and so that a port that was refused here is not taken: what nobody behind it asked for is dropped.
	router "$1" && on "$1" nft "
		add table ip n
		add chain ip n in { type nat hook prerouting priority -100; }
		add chain ip n out { type nat hook postrouting priority 100; }
		add chain ip n pass { type filter hook forward priority 0; }
		add chain ip n own { type filter hook input priority 0; }
		add rule ip n out oifname $2 $nat_rule
		$nat_in
		add rule ip n pass iifname $2 ct state new ct status dnat accept
		add rule ip n pass iifname $2 ct state new drop
		add rule ip n own ip daddr $nat_out udp dport 1-65535 drop"
}

drop() {
	on "lan-$1" nft "add rule bridge t c iifname $2 oifname $3 drop"
}

lossy() {
	on "lan-$1" nft "add rule bridge t c numgen random mod 100 < $2 drop"
}

heal() {
	on "lan-$1" nft flush chain bridge t c
}

# ---- nodes ----

mesh() {
	mesh_host=$1
	shift
	on "$mesh_host" meshanics "$@" --home "$TEST_DIR/$mesh_host"
}

found() {
	found_host=$1 found_name=$2
	shift 2
	mesh "$found_host" mgmt-keys add --name "$found_name" "$@"
}

# secret HOST NETWORK FILE
secret() {
	(umask 077 && mesh "$1" mgmt-keys show "$2" --quiet >"$3")
}

join() {
	join_host=$1 join_owner=$2 join_name=$3
	shift 3
	secret "$join_owner" "$join_name" join.key && mesh "$join_host" mgmt-keys add --key-file join.key "$@"
}

up() {
	up_host=$1
	shift
	case " $* " in
	*' --name '*) ;;
	*) set -- --name "$up_host" "$@" ;;
	esac
	# What this machine has of systemd-resolved is not theirs, and where it has none, each would warn of that.
	case " $* " in
	*' --resolvectl '*) ;;
	*) set -- --resolvectl /bin/true "$@" ;;
	esac
	# Not by on: the pid is to be that of the node.
	test_start "$up_host" ip netns exec "$mesh_ns-$up_host" meshanics meshlan run --home "$TEST_DIR/$up_host" "$@"
}

# up_at TIME HOST [ARG...]: its wall clock, and no other, is another one: "+1d", "-1d"
up_at() {
	up_time=$1
	shift
	# By faketime's library alone: its program would be between us and the node.
	up_lib=$(test_preload) || return 1
	up_host=$1
	shift
	test_start "$up_host" "${test_own_clock:?}" ip netns exec "$mesh_ns-$up_host" env "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0" \
		FAKETIME="$up_time" FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 LD_PRELOAD="$up_lib" \
		meshanics meshlan run --home "$TEST_DIR/$up_host" --name "$up_host" "$@"
}

down() {
	test_stop "$1"
}

crash() {
	test_crash "$1"
}

status() {
	meshanics meshlan status --json --home "$TEST_DIR/$1"
}

holds() {
	status "$1" >.status && test_json "$2" .status
}

# The first network, or the one of that name.
own_address() {
	status "$2" | jq -er --arg n "${3:-}" "first(.networks[] | select(\$n == \"\" or .network == \$n) | .self.$1)"
}
v4() {
	own_address ipv4 "$@"
}
v6() {
	own_address ipv6 "$@"
}

io() {
	io_host=$1
	shift
	# Whatever never comes ends in a failure.
	on "$io_host" timeout 60 perl "$TEST_SRC/tests/e2e/mesh-io.pl" "$@"
}

ask() {
	ask_host=$1
	shift
	on "$ask_host" perl "$TEST_SRC/tests/e2e/mesh-dns.pl" "$@"
}

pings() {
	pings_to=$(v4 "${2%%/*}" "$(network_of "$2")") && io "$1" ping "$pings_to" 1 "${3:-56}"
}
pings6() {
	pings_to=$(v6 "${2%%/*}" "$(network_of "$2")") && io "$1" ping "$pings_to" 1 "${3:-56}"
}
network_of() {
	case $1 in
	*/*) echo "${1#*/}" ;;
	esac
}

reaches_by() {
	reaches_by=$1 reaches_limit=$2 reaches_from=$3
	shift 3
	for reaches_to in "$@"; do
		test_wait "$reaches_limit" "$reaches_by" "$reaches_from" "$reaches_to" || {
			echo "# $reaches_from:" && tail -n 20 "$reaches_from.log"
			echo "# $reaches_to:" && tail -n 20 "${reaches_to%%/*}.log"
			return 1
		}
	done
}
reaches() {
	reaches_by pings "$@"
}
reaches6() {
	reaches_by pings6 "$@"
}

# talks NAME A B: a connection of A to port 5003 of B, which serves talk there, begins; goes_on NAME: it stands, and moves
talks() {
	test_start "$1" ip netns exec "$mesh_ns-$2" perl "$TEST_SRC/tests/e2e/mesh-io.pl" talk "$(v4 "$3")" 5003 60 &&
		test_wait 20 grep "^beat 5$" "$1.log"
}
goes_on() {
	goes_on_n=$(grep -c beat "$1.log") && test_wait 30 grep "^beat $((goes_on_n + 10))$" "$1.log"
}

# The same host may serve several: they are told apart by protocol, address and port.
serve() {
	serve_as=serve-$1-$2-$3-$4
	test_start "$serve_as" ip netns exec "$mesh_ns-$1" perl "$TEST_SRC/tests/e2e/mesh-io.pl" "$2-serve" "$3" "$4" &&
		test_wait 20 grep -q listening "$serve_as.log"
}

# ---- two behind boxes ----

# The Internet, with member m in it, and boxes na and nb of these kinds before a and b; both sides have one private range.
boxes() {
	clear_all
	for w in a b m; do ! [ -e "$w.pid" ] || crash "$w"; done
	rm -rf a b m ./*.log
	lan net && lan la && lan lb && host m na nb a b &&
		plug m net 203.0.113.10/24 && plug na net 203.0.113.1/24 && plug nb net 203.0.113.2/24 &&
		plug na la 192.168.1.1/24 && plug nb lb 192.168.1.1/24 &&
		plug a la 192.168.1.20/24 && plug b lb "${3:-192.168.1.21}/24" &&
		route a default 192.168.1.1 && route b default 192.168.1.1 &&
		nat na net "$1" 192.168.1.20 && nat nb net "$2" "${3:-192.168.1.21}" &&
		found m home && join a m home && join b m home && boxes_up m a b
}
boxes_up() {
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
	test_wait 60 path "$1" "$2" direct && holds "$1" ".networks[0].peers[] | select(.name == \"$2\") |
		.via == null and (.endpoint | startswith(\"$3:\"))"
}
relayed() {
	test_wait 60 path "$1" "$2" peer && holds "$1" ".networks[0].peers[] | select(.name == \"$2\") | .via == \"m\""
}

# Two network namespaces, a and b, and one wire between them: wa on 10.9.0.1 and fd09::1, wb on 10.9.0.2 and fd09::2. Read
# with NS set, the prefix of their names.
#
#	A CMD..., B CMD...	run CMD on that end
#	wire [OPTION...]	both ends, up; options are of `ip link`, for each; what was there before goes
#	unwire			both ends, with all that runs in them

A() { ip netns exec "$NS-a" "$@"; }
B() { ip netns exec "$NS-b" "$@"; }

unwire() {
	for w in a b; do
		for p in $(ip netns pids "$NS-$w" 2>/dev/null); do
			kill -9 "$p" 2>/dev/null
		done
		ip netns del "$NS-$w" 2>/dev/null
	done
	:
}

wire() {
	unwire
	ip netns add "$NS-a" && ip netns add "$NS-b" &&
	ip link add wa netns "$NS-a" type veth peer name wb netns "$NS-b" &&
	ip -n "$NS-a" addr add 10.9.0.1/24 dev wa && ip -n "$NS-b" addr add 10.9.0.2/24 dev wb &&
	ip -n "$NS-a" addr add fd09::1/64 dev wa nodad && ip -n "$NS-b" addr add fd09::2/64 dev wb nodad &&
	for w in a b; do
		ip -n "$NS-$w" link set lo up && ip -n "$NS-$w" link set "w$w" "$@" up || return 1
	done
}

#!/bin/sh
# The mesh, end to end: three nodes on one switch, each in network and mount namespaces of its own, and a printer that only
# one of them reaches. A service by name, a denied port and an allowed one, a forward, ping, explain, an eviction.
#
#	./bootstrap demo mesh		builds first
#	MESHANICS=build/meshanics tests/demo-mesh.sh
# shellcheck disable=SC2154 # set in demo-lib.sh
set -eu

IO=$(cd "$(dirname "$0")" && pwd)/e2e/mesh-io.pl
. "$(dirname "$0")/demo-lib.sh"

# ---- four machines ----

# An ordinary user is root in a user namespace of his own, in which the machines are made.
if [ "$(id -u)" -ne 0 ] && [ -z "${MESHANICS_DEMO_INSIDE:-}" ]; then
	cd /
	rmdir "$T"
	MESHANICS_DEMO_INSIDE=yes exec unshare -U -r "${IO%/e2e/*}/demo-mesh.sh" "$@"
fi
if ! [ -c /dev/net/tun ]; then
	echo 'demo: there is no /dev/net/tun here; modprobe tun makes it' >&2
	exit 1
elif ! { [ -r /dev/net/tun ] && [ -w /dev/net/tun ]; }; then
	echo 'demo: /dev/net/tun is closed to you here; as root it works' >&2
	exit 1
fi
place() {
	: >"$T/resolv-$1"
	unshare -n -m sh -c 'mount --make-rprivate / && mount --bind "$1" /etc/resolv.conf && ip link set lo up && exec sleep 3600' \
		place "$T/resolv-$1" &
	pids="$pids $!"
	eval "ns_$1=$!"
	until_true 10 nsenter -t $! -n sh -c 'ip -br link show lo | grep -q UNKNOWN'
}
at() {
	eval "ns=\$ns_$1"
	shift
	$in_background nsenter -t "$ns" -n -m --wd="$T" "$@"
}
# wire A NAME B NAME: a cable between two machines.
wire() {
	eval "a=\$ns_$1 b=\$ns_$3"
	nsenter -t "$a" -n ip link add "$2" type veth peer name "$4" netns "$b"
	nsenter -t "$a" -n ip link set "$2" up
	nsenter -t "$b" -n ip link set "$4" up
}
address() { at "$1" ip address add "$2" dev "$3"; }
# A service of four lines: it says who calls.
cat >service.pl <<'PERL'
use IO::Socket::INET;
my ($address, $port, $what) = @ARGV;
my $s = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Listen => 8, ReuseAddr => 1) or die "listen: $!\n";
while (my $c = $s->accept) {
	my $who = $c->peerhost;
	sysread $c, my $request, 4096;
	print $c "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nThis is $what. You are $who.\n";
	close $c;
}
PERL
mesh_of() { at "$1" meshanics meshlan status --home "$1" --json >status.json && jq -r ".networks[0].$2" status.json; }
reaches() { at "$1" meshanics meshlan ping "$2" --home "$1" --count 1; }

# ---------------------------------------------------------------------------------------------------------------

title 'Three machines on a switch, and a printer that only the workshop reaches'
place switch
at switch ip link add br0 type bridge
at switch ip link set br0 up
n=1
for who in nas laptop workshop; do
	place $who
	wire switch $who $who eth0
	at switch ip link set $who master br0
	address $who "192.0.2.$n/24" eth0
	n=$((n + 1))
done
place printer
wire workshop eth1 printer eth0
address workshop 192.168.1.1/24 eth1
address printer 192.168.1.50/24 eth0
start printer.log at printer perl service.pl 192.168.1.50 631 'a printer'
printer=$last
say 'no machine knows another one, there is no server, and the names of the mesh come from each machine itself'

title 'A network is a key; whoever holds it is a member'
run at nas meshanics mgmt-keys add --home nas --name 'Home network' --caps mesh-route --never-expires
umask 077
meshanics mgmt-keys show 'Home network' --home nas --quiet >network.key
umask 022
say 'it is carried to the others (mgmt-keys show --qr draws it for a phone or a camera)'
for who in laptop workshop; do
	run at $who meshanics mgmt-keys add --home $who --key-file network.key --name 'Home network' --caps mesh-route
done

title 'They find each other'
for who in nas laptop workshop; do
	start $who.log at $who meshanics meshlan run --home $who --name $who
	until_true 10 at $who meshanics meshlan status --home $who
	echo "nameserver $(mesh_of $who self.ipv4)" >resolv-$who
done
until_true 20 reaches laptop nas
until_true 20 reaches laptop workshop
run at laptop meshanics meshlan status --home laptop
run at laptop meshanics meshlan ping nas --home laptop --count 2
say 'an address that nobody has is unreachable at once, not after a timeout'
nobody=$(mesh_of laptop self.ipv4 | awk -F. '{ printf "%s.%s.%s.%d", $1, $2, $3, $4 - $4 % 8 + 7 }')
printf "laptop$ ping %s\n" "$nobody"
at laptop perl "$IO" ping "$nobody" 1 | sed "s/^/  /; s/unreachable 3.1 \(.*\)/Destination Host Unreachable, after \1 ms/" || :

title 'Nothing is let in that nobody has allowed'
start service.log at nas perl service.pl 127.0.0.1 8080 'the web service of nas'
say 'the service listens on loopback alone; the port is denied'
# A call that must fail.
denied() {
	show "$@"
	printf '\n'
	if "$@" >output 2>&1; then
		echo 'demo: that should have been denied' >&2
		exit 1
	fi
	sed 's/^/  /' output
}
denied at laptop curl -sS --max-time 2 http://nas.mesh:8080/
run at nas meshanics meshlan explain nas tcp:8080 --from laptop --home nas
say 'one rule, for one caller, holds at once'
run at nas meshanics policy allow tcp:8080 --from laptop --home nas
until_true 10 at laptop curl -sS --max-time 2 http://nas.mesh:8080/
run at laptop curl -sS --max-time 5 http://nas.mesh:8080/
say 'the service sees the address that laptop has in the mesh; the workshop is still denied'
denied at workshop curl -sS --max-time 2 http://nas.mesh:8080/
run at nas meshanics meshlan explain nas tcp:8080 --from workshop --home nas

title 'A device that runs nothing of ours gets an address and a name'
run at workshop meshanics forward add 'Office Printer' 192.168.1.50 --home workshop
run at workshop meshanics policy allow tcp:631 --to office-printer --home workshop
until_true 20 at laptop curl -sS --max-time 2 http://office-printer.mesh:631/
run at laptop curl -sS --max-time 5 http://office-printer.mesh:631/
run at laptop meshanics meshlan ping office-printer --home laptop --count 1
say 'the printer is switched off: ping says so, since it really asks'
kill "$printer"
at printer ip link set eth0 down
denied at laptop meshanics meshlan ping office-printer --home laptop --count 1
run at laptop meshanics meshlan names --home laptop --hosts

title 'One member is out, without a visit to the others'
run at nas meshanics mgmt-keys rotate 'Home network' --evict workshop --home nas
evicted() { at nas meshanics meshlan status --home nas --json | jq -e '.networks[0].peers[] | select(.name == "workshop").state == "evicted"'; }
until_true 20 evicted
run at nas meshanics meshlan status --home nas
until_true 20 reaches laptop nas
denied at workshop meshanics meshlan ping nas --home workshop --count 1

the_end
cat <<END

${bold}All of it held, in $seconds s.${plain} The pieces lie in $T:
  nas/ laptop/ workshop/    the homes of the nodes; mesh/networks/ is all there is of a network
  *.log                     what the processes said
Read on: man $(dirname "$(dirname "$MESHANICS")")/man/meshanics-mesh.7
END
echo "It can go: rm -r $T"

#!/bin/sh
# What members and local users without rights might try, and come to nothing with.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/mesh.sh
. "$TEST_SRC/tests/e2e/mesh.sh"
test_need ss

# Clock ticks that the node has worked so far.
worked() {
	awk '{ print $14 + $15 }' "/proc/$(cat "$1.pid")/stat"
}
# held HOST PORT: a connection of it, in whatever state, is still there; the port in hex.
held() {
	on "$1" grep ":$2 [0-9A-F]*:[0-9A-F]* 0[1-9B]" /proc/net/tcp
}
gone() {
	! held "$@"
}

# says HOST FROM TEXT TO: a datagram to port 8020 by a process without any right, with that source.
says() {
	on "$1" perl -MSocket=:all -e "
		(\$), \$>) = (\"65534 65534\", 65534); socket(\$s, AF_INET6, SOCK_DGRAM, 0) or die; setsockopt(\$s, IPPROTO_IPV6, 78, 1) or die;
		bind(\$s, pack_sockaddr_in6(0, inet_pton(AF_INET6, \"$2\"))) or die \"bind: \$!\n\";
		send(\$s, \"$3\", 0, pack_sockaddr_in6(8020, inet_pton(AF_INET6, \"$4\"))) or die \"send: \$!\n\""
}

test_expect 'two nodes, one of which lets in the other' '
	lan wire && host a b && plug a wire 10.9.0.1/24 && plug b wire 10.9.0.2/24 && found a home && join b a home &&
	up a && up b && reaches 30 a b && mesh b policy allow tcp:8000-8999 && mesh b policy allow udp:8000-8999
'

# The proxy reads nothing from it any more, and has nothing to write: only the reset says that it is gone.
test_expect 'who has said all and then resets leaves nothing behind, and no work' '
	test_start silent ip netns exec "$mesh_ns-b" perl -MIO::Socket::INET -e "
		\$l = IO::Socket::INET->new(LocalAddr => \"127.0.0.1\", LocalPort => 8013, Listen => 5) or die;
		\$| = 1; print \"listening\n\"; \$c = \$l->accept; print \"called\n\"; sleep 60" &&
	test_wait 10 grep -q listening silent.log &&
	on a perl -MSocket -MIO::Socket::INET -e "
		\$s = IO::Socket::INET->new(PeerAddr => \"$(v4 b)\", PeerPort => 8013) or die; select(undef, undef, undef, 0.3);
		shutdown(\$s, 1); select(undef, undef, undef, 0.3);
		setsockopt(\$s, SOL_SOCKET, SO_LINGER, pack(\"ii\", 1, 0)); close \$s" &&
	test_wait 10 grep -q called silent.log && test_wait 10 gone b 1F4D &&
	before=$(worked b) && sleep 1 && [ "$(worked b)" -lt $((before + 20)) ]
'

# No child of ours: it was started with another limit.
ended() {
	! grep "^State:.[^ZX]" "/proc/$1/status"
}

# Descriptors for the operator are left, however many connections members open.
test_expect 'who fills all places cannot keep a rule in force' '
	down b && (ulimit -n 512 && up b) && reaches 30 a b && serve b talk 127.0.0.1 8014 &&
	test_start many ip netns exec "$mesh_ns-a" perl -MIO::Socket::INET -e "
		\$| = 1; for (1 .. 400) { push @all, IO::Socket::INET->new(PeerAddr => \"$(v4 b)\", PeerPort => 8014, Timeout => 1) // ();
			select(undef, undef, undef, 0.005) } print \"open\n\"; sleep 60" &&
	test_wait 60 grep -q open many.log && status b >out && mesh b policy deny tcp:8000-8999 &&
	test_wait 10 holds b ".networks[0].rules == [\"udp:8000-8999\"]" && ! io a tcp-get "$(v4 b)" 8014 0.5 &&
	test_crash many && mesh b policy allow tcp:8000-8999 && kill -KILL "$(cat b.pid)" && test_wait 10 ended "$(cat b.pid)" && up b && reaches 30 a b
'

no_rules6() {
	! onip "$1" -6 rule | grep "lookup 7784"
}
# as_caller HOST ADDRESS PORT [FROM-PORT]: a process without any right calls a service on ::1 of HOST from that address.
as_caller() {
	on "$1" perl -MSocket=:all -e "
		(\$), \$>) = (\"65534 65534\", 65534); socket(\$s, AF_INET6, SOCK_STREAM, 0) or die;
		setsockopt(\$s, IPPROTO_IPV6, 78, 1) or die; setsockopt(\$s, SOL_SOCKET, SO_REUSEADDR, 1);
		bind(\$s, pack_sockaddr_in6(${4-0}, inet_pton(AF_INET6, \"$2\"))) or die \"bind: \$!\n\";
		\$SIG{ALRM} = sub { die \"late\n\" }; alarm 2;
		connect(\$s, pack_sockaddr_in6($3, inet_pton(AF_INET6, \"::1\"))) or die \"connect: \$!\n\"; print \"connected\n\""
}

test_expect 'no local user calls a service in the name of a member' '
	serve b talk ::1 8015 && at=$(v6 b) caller=$(v6 a) &&
	test_start talk ip netns exec "$mesh_ns-a" perl "$TEST_SRC/tests/e2e/mesh-io.pl" talk "$at" 8015 &&
	test_wait 20 grep "^beat 5$" talk.log && grep "^called by $caller$" serve-b-talk-::1-8015.log &&
	! as_caller b "$caller" 8015 && port=$(on b ss -Htn dst "[::1]:8015" src "[$caller]" | awk "{ print \$4 }" | sed "s/.*://") &&
	! as_caller b "$caller" 8015 "$port" && ! as_caller b "$caller" 8016 "$port" &&
	[ "$(grep -c "^called by" serve-b-talk-::1-8015.log)" = 1 ] && test_crash talk && test_wait 20 no_rules6 b
'

# A source of its own choice is anybody's with IPv6; the kernel routes it, and the block is this node's.
test_expect 'no local user speaks in the name of a device' '
	mesh b forward add printer 10.9.0.1 && test_wait 20 holds b ".networks[0].forwards[0].ipv6 != null" &&
	mesh a policy allow udp:8020 &&
	test_start hears ip netns exec "$mesh_ns-a" perl -MSocket=:all -e "
		socket(\$s, AF_INET6, SOCK_DGRAM, 0) or die; bind(\$s, pack_sockaddr_in6(8020, inet_pton(AF_INET6, \"$(v6 a)\"))) or die;
		\$| = 1; print \"listening\n\"; while (\$from = recv(\$s, \$b, 100, 0)) {
			print \"\$b from \", inet_ntop(AF_INET6, (unpack_sockaddr_in6(\$from))[1]), \"\n\" }" &&
	test_wait 20 grep listening hears.log && says b "$(v6 b)" first "$(v6 a)" && test_wait 20 grep "^first from $(v6 b)$" hears.log &&
	says b "$(status b | jq -r ".networks[0].forwards[0].ipv6")" spoof "$(v6 a)" && says b "$(v6 b)" last "$(v6 a)" &&
	test_wait 20 grep "^last from" hears.log && ! grep spoof hears.log
'

# on_disk HOST GENERATION
on_disk() {
	[ "$(meshanics mgmt-keys list --home "$TEST_DIR/$1" --json | jq -r ".networks[0].generation")" = "$2" ]
}

# As a verb that waits for its operator, or a full disk, would be in the way.
test_expect 'a rotation that could not be kept at once is kept later' '
	host c && plug c wire 10.9.0.3/24 && join c a home && up c && reaches 30 a c && reaches 30 b c && down c &&
	test_start hold perl -MFcntl=:DEFAULT,:seek -e "
		open(\$f, q(+<), \"$TEST_DIR/b/mesh/lock\") or die; \$lock = pack(q(s s x4 q q l x4), F_WRLCK, SEEK_SET, 0, 0, 0);
		fcntl(\$f, F_SETLKW, \$lock) or die \"fcntl: \$!\";
		\$| = 1; print \"held\n\"; sleep 600" && test_wait 10 grep held hold.log &&
	test_wait 20 mesh a mgmt-keys rotate home --evict c --yes && test_wait 20 grep "cannot be kept yet" b.log && on_disk b 1 && test_crash hold &&
	test_wait 90 on_disk b 2 && crash b && up b && reaches 30 a b
'

test_done

#!/usr/bin/perl
# Plays both ends of connections over a mesh: pings, streams with a checksum, counted datagrams. No more than perl's core.
#
#	mesh-io.pl ping ADDRESS [COUNT [SIZE [INTERVAL-MS]]]	prints "rtt MIN MEDIAN MAX" in us, and "lost N"; fails when all are
#							lost; says "unreachable CODE AFTER-MS" when that is the answer
#	mesh-io.pl ping-all SECONDS ADDRESS...		until each IPv4 address has answered; else says "silent ADDRESS" and fails
#	mesh-io.pl tcp-serve ADDRESS PORT		echoes back "BYTES SHA-256" of each connection's bytes; never ends
#	mesh-io.pl tcp-send ADDRESS PORT BYTES		sends so many bytes, checks the echo; prints "mbit N"
#	mesh-io.pl tcp-get ADDRESS PORT [SECONDS]	connects and says "open", or why not, and "after MS"
#	mesh-io.pl talk-serve ADDRESS PORT		says "called by ADDRESS", echoes each line of a connection; never ends
#	mesh-io.pl talk ADDRESS PORT [SECONDS]		a line each 20 ms, "beat N" for each echo, until "broken WHY"; waits so long
#							for an echo (3), and says "stood still MS" after more than 100
#	mesh-io.pl udp-serve ADDRESS PORT		echoes every datagram; never ends
#	mesh-io.pl udp-echo ADDRESS PORT SIZE COUNT	prints "answered N" of COUNT, "toobig MTU" where the kernel refuses
#	mesh-io.pl udp-sink ADDRESS PORT SECONDS	prints "got N bytes B" of what came
#	mesh-io.pl udp-flood ADDRESS PORT SIZE COUNT [FROM]	sends as fast as it goes, from that address
use strict;
use warnings;
use Digest::SHA ();
use Errno qw(EMSGSIZE EHOSTUNREACH EINTR);
use IO::Handle;
use Socket qw(:all);
use Time::HiRes qw(alarm time sleep);

$| = 1;
my ($verb, @args) = @ARGV;

sub family { $_[0] =~ /:/ ? AF_INET6 : AF_INET }

sub at {
	my ($address, $port) = @_;
	my $n = inet_pton(family($address), $address) // die "$address: no address\n";
	return family($address) == AF_INET6 ? pack_sockaddr_in6($port, $n) : pack_sockaddr_in($port, $n);
}

sub sock {
	my ($address, $type, $protocol) = @_;
	socket(my $s, family($address), $type, $protocol) or die "socket: $!\n";
	return $s;
}

sub readable {
	my ($s, $seconds) = @_;
	my $bits = '';
	vec($bits, fileno($s), 1) = 1;
	return select($bits, undef, undef, $seconds) > 0;
}

sub checksum {
	my ($bytes) = @_;
	my $sum = 0;
	$sum += $_ for unpack 'n*', length($bytes) % 2 ? "$bytes\0" : $bytes;
	$sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
	return ~$sum & 0xffff;
}

# An echo request as the kernel wants it: the checksum of ICMPv6 is its own affair.
sub echo_request {
	my ($six, $id, $seq, $size) = @_;
	my $body = pack('nn', $id, $seq) . ('x' x $size);
	return pack('CCn', 128, 0, 0) . $body if $six;
	return pack('CCn', 8, 0, checksum(pack('CCn', 8, 0, 0) . $body)) . $body;
}

# The type, the code and what follows them, of an answer that is for us; () when it is none.
sub echo_answer {
	my ($six, $id, $bytes) = @_;
	$bytes = substr $bytes, (ord($bytes) & 15) * 4 if !$six;
	my ($type, $code, undef, $got, $seq) = unpack 'CCnnn', $bytes;
	return ('echo', $seq) if $type == ($six ? 129 : 0) && $got == $id;
	return if !($six ? $type == 1 || $type == 2 : $type == 3);
	my $quoted = substr $bytes, 8;
	$quoted = substr $quoted, $six ? 40 : (ord($quoted) & 15) * 4;
	my (undef, undef, undef, $theirs) = unpack 'CCnn', $quoted;
	return ('unreachable', "$type.$code") if defined $theirs && $theirs == $id;
	return;
}

sub ping {
	my ($address, $count, $size, $interval) = @_;
	$count //= 1;
	my $six = family($address) == AF_INET6;
	my $s = sock($address, SOCK_RAW, $six ? 58 : 1);
	my ($id, $to, @rtt) = ($$ & 0xffff, at($address, 0));
	SEQ: for my $seq (1 .. $count) {
		my $start = time;
		if (!defined send $s, echo_request($six, $id, $seq, $size // 56), 0, $to) {
			print "refused $!\n";
			exit 1;
		}
		while ((my $left = $start + 2 - time) > 0) {
			last if !readable($s, $left);
			defined recv $s, my $bytes, 65536, 0 or next;
			my ($what, $value) = echo_answer($six, $id, $bytes) or next;
			if ($what eq 'unreachable') {
				printf "unreachable %s %.1f\n", $value, (time - $start) * 1e3;
				exit 1;
			}
			next if $value != $seq;
			push @rtt, (time - $start) * 1e6;
			sleep(($interval // 10) / 1000) if $seq < $count;
			next SEQ;
		}
	}
	@rtt = sort { $a <=> $b } @rtt;
	printf "rtt %.0f %.0f %.0f\n", @rtt[0, @rtt / 2, -1] if @rtt;
	printf "lost %d\n", $count - @rtt;
	exit(!@rtt);
}

sub ping_all {
	my ($seconds, @addresses) = @_;
	my $s = sock('0.0.0.0', SOCK_RAW, 1);
	my ($id, %silent) = ($$ & 0xffff, map { $_ => 1 } @addresses);
	my ($start, $again) = (time, 0);
	while (%silent && time < $start + $seconds) {
		if (time >= $again) {
			send $s, echo_request(0, $id, 1, 56), 0, at($_, 0) for keys %silent;
			$again = time + 0.3;
		}
		next if !readable($s, 0.1);
		my $from = recv $s, my $bytes, 65536, 0;
		next if !defined $from;
		my ($what) = echo_answer(0, $id, $bytes);
		next if ($what // '') ne 'echo';
		delete $silent{inet_ntoa((unpack_sockaddr_in($from))[1])};
	}
	print "silent $_\n" for keys %silent;
	printf "all after %.0f\n", (time - $start) * 1e3 if !%silent;
	exit(%silent ? 1 : 0);
}

sub tcp_serve {
	my ($address, $port) = @_;
	my $l = sock($address, SOCK_STREAM, 0);
	setsockopt $l, SOL_SOCKET, SO_REUSEADDR, 1;
	bind $l, at($address, $port) or die "bind: $!\n";
	listen $l, 16 or die "listen: $!\n";
	local $SIG{CHLD} = 'IGNORE';
	print "listening\n";
	for (;;) {
		accept my $c, $l or next;
		next if fork;
		my ($sha, $n) = (Digest::SHA->new(256), 0);
		while (sysread $c, my $bytes, 1 << 18) {
			$sha->add($bytes);
			$n += length $bytes;
		}
		syswrite $c, "$n " . $sha->hexdigest . "\n";
		exit 0;
	}
}

sub tcp_send {
	my ($address, $port, $bytes) = @_;
	my $s = sock($address, SOCK_STREAM, 0);
	connect $s, at($address, $port) or die "connect: $!\n";
	my ($sha, $start, $left) = (Digest::SHA->new(256), time, $bytes);
	my $block = join '', map { pack 'N', $_ * 2654435761 } 1 .. 1 << 14;
	while ($left > 0) {
		my $n = syswrite $s, $block, $left < length $block ? $left : length $block;
		die "write: $!\n" if !defined $n;
		$sha->add(substr $block, 0, $n);
		$left -= $n;
	}
	shutdown $s, 1;
	my $answer = readline $s;
	die "no answer\n" if !defined $answer;
	die "not what was sent: $answer" if $answer ne "$bytes " . $sha->hexdigest . "\n";
	printf "mbit %.0f\n", $bytes * 8 / 1e6 / (time - $start);
}

sub tcp_get {
	my ($address, $port, $seconds) = @_;
	my ($s, $start) = (sock($address, SOCK_STREAM, 0), time);
	local $SIG{ALRM} = sub { };
	alarm($seconds // 5);
	my $ok = connect $s, at($address, $port);
	printf "%s after %.0f\n", $ok ? 'open' : $!, (time - $start) * 1e3;
	exit(!$ok);
}

sub talk_serve {
	my ($address, $port) = @_;
	my $l = sock($address, SOCK_STREAM, 0);
	setsockopt $l, SOL_SOCKET, SO_REUSEADDR, 1;
	bind $l, at($address, $port) or die "bind: $!\n";
	listen $l, 16 or die "listen: $!\n";
	local $SIG{CHLD} = 'IGNORE';
	print "listening\n";
	for (;;) {
		my $from = accept my $c, $l or next;
		next if fork;
		my (undef, $caller) = family($address) == AF_INET6 ? unpack_sockaddr_in6($from) : unpack_sockaddr_in($from);
		print 'called by ', inet_ntop(family($address), $caller), "\n";
		while (sysread $c, my $bytes, 4096) {
			syswrite $c, $bytes;
		}
		exit 0;
	}
}

sub talk {
	my ($address, $port, $seconds) = @_;
	my $s = sock($address, SOCK_STREAM, 0);
	connect $s, at($address, $port) or die "connect: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	for (my $n = 1;; $n++) {
		defined syswrite $s, "line $n\n" or die "broken $!\n";
		my $start = time;
		readable($s, $seconds // 3) or die "broken: silence\n";
		my $got = sysread $s, my $bytes, 4096;
		defined $got && $got > 0 or die 'broken ', defined $got ? 'by its end' : $!, "\n";
		printf "stood still %.0f\n", (time - $start) * 1e3 if time > $start + 0.1;
		print "beat $n\n";
		sleep 0.02;
	}
}

sub udp_serve {
	my ($address, $port) = @_;
	my $s = sock($address, SOCK_DGRAM, 0);
	bind $s, at($address, $port) or die "bind: $!\n";
	print "listening\n";
	for (;;) {
		my $from = recv $s, my $bytes, 65536, 0;
		send $s, $bytes, 0, $from if defined $from;
	}
}

sub udp_echo {
	my ($address, $port, $size, $count) = @_;
	my $s = sock($address, SOCK_DGRAM, 0);
	connect $s, at($address, $port) or die "connect: $!\n";
	my $got = 0;
	for my $i (1 .. $count) {
		my $bytes = pack('N', $i) . 'u' x ($size - 4);
		if (!defined send $s, $bytes, 0) {
			die "send: $!\n" if $! != EMSGSIZE;
			my $mtu = family($address) == AF_INET6 ? getsockopt $s, 41, 24 : getsockopt $s, 0, 14;
			printf "toobig %d\n", unpack 'i', $mtu;
			exit 1;
		}
		while (readable($s, 1)) {
			defined recv $s, my $back, 65536, 0 or last;
			next if $back ne $bytes;
			$got++;
			last;
		}
	}
	print "answered $got\n";
	exit($got != $count);
}

sub udp_sink {
	my ($address, $port, $seconds) = @_;
	my $s = sock($address, SOCK_DGRAM, 0);
	setsockopt $s, SOL_SOCKET, SO_RCVBUF, 1 << 24;
	bind $s, at($address, $port) or die "bind: $!\n";
	print "listening\n";
	my ($n, $bytes, $end) = (0, 0, time + $seconds);
	while ((my $left = $end - time) > 0) {
		next if !readable($s, $left) || !defined recv $s, my $b, 65536, 0;
		$n++;
		$bytes += length $b;
	}
	print "got $n bytes $bytes\n";
}

sub udp_flood {
	my ($address, $port, $size, $count, $from) = @_;
	my $s = sock($address, SOCK_DGRAM, 0);
	!defined $from or bind $s, at($from, 0) or die "bind: $!\n";
	connect $s, at($address, $port) or die "connect: $!\n";
	my ($bytes, $start) = ('u' x $size, time);
	for (1 .. $count) {
		send $s, $bytes, 0;
	}
	printf "sent %d in %.3f\n", $count, time - $start;
}

my %verbs = (
	'ping' => \&ping, 'ping-all' => \&ping_all, 'tcp-serve' => \&tcp_serve, 'tcp-send' => \&tcp_send, 'tcp-get' => \&tcp_get,
	'talk-serve' => \&talk_serve, 'talk' => \&talk,
	'udp-serve' => \&udp_serve, 'udp-echo' => \&udp_echo, 'udp-sink' => \&udp_sink, 'udp-flood' => \&udp_flood,
);
die "usage: mesh-io.pl VERB ...\n" if !defined $verb || !$verbs{$verb};
$verbs{$verb}->(@args);

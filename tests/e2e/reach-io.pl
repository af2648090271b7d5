#!/usr/bin/perl
# Services that say how they see who calls them, and their callers.
#
#	reach-io.pl serve tcp|udp ADDRESS PORT [only|both]	answers each with "CALLER-ADDRESS CALLER-PORT OWN-ADDRESS LENGTH";
#							of ::, `both` takes IPv4 as well, `only` (and nothing) does not; never ends
#	reach-io.pl ask tcp|udp ADDRESS PORT [FROM-PORT [LENGTH]]	prints the answer, or "error: " and why, and "after MS"
#	reach-io.pl apart ADDRESS OTHER PORT FROM-PORT		datagrams from one port to both, by turns; prints "apart" when each was
#							answered as it asked, with its length
#	reach-io.pl many ADDRESS PORT COUNT			so many connections at once; prints how many were answered
#	reach-io.pl crowd ADDRESS PORT COUNT			a datagram from each of so many ports; prints how many were answered
#	reach-io.pl copy ADDRESS PORT BYTES			so many bytes there and back through `serve tcp`; prints "same"
#	reach-io.pl hold ADDRESS PORT				a connection that is left open; prints "open" when a byte came back
#	reach-io.pl upload ADDRESS PORT				sends until it is told to stop; prints how much came back before the end
#	reach-io.pl serve echo ADDRESS PORT			gives all bytes back
#	reach-io.pl serve enough ADDRESS PORT			of what is sent, it reads little, answers with 30,000 bytes, and closes
use strict;
use warnings;
use Digest::SHA ();
use IO::Select;
use Socket qw(:all);
use Time::HiRes qw(time);

$| = 1;
my ($verb, @args) = @ARGV;

sub family { $_[0] =~ /:/ ? AF_INET6 : AF_INET }

sub at {
	my ($address, $port) = @_;
	my $n = inet_pton(family($address), $address) // die "$address: no address\n";
	return family($address) == AF_INET6 ? pack_sockaddr_in6($port, $n) : pack_sockaddr_in($port, $n);
}

sub text {
	my ($name) = @_;
	my ($e, $host, $port) = getnameinfo($name, NI_NUMERICHOST | NI_NUMERICSERV);
	$host =~ s/^::ffff:(?=\d+\.)//;
	return ($host, $port);
}

sub sock {
	my ($address, $type) = @_;
	socket(my $s, family($address), $type, 0) or die "socket: $!\n";
	setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
	return $s;
}

sub listening {
	my ($type, $address, $port, $mode) = @_;
	my $s = sock($address, $type);
	setsockopt($s, IPPROTO_IPV6, IPV6_V6ONLY, ($mode // '') eq 'both' ? 0 : 1) if family($address) == AF_INET6;
	bind($s, at($address, $port)) or die "bind $address: $!\n";
	listen($s, 128) or die "listen: $!\n" if $type == SOCK_STREAM;
	print "listening\n";
	return $s;
}

sub serve_tcp {
	my $s = listening(SOCK_STREAM, @_);
	while (my $who = accept(my $c, $s)) {
		my ($host, $port) = text($who);
		my ($own) = text(getsockname($c));
		my $n = sysread($c, my $request, 65536) // 0;
		syswrite($c, "$host $port $own $n\n");
		close $c;
	}
}

sub serve_udp {
	my $s = listening(SOCK_DGRAM, @_);
	while (1) {
		defined(my $who = recv($s, my $request, 65536, 0)) or next;
		my ($host, $port) = text($who);
		my ($own) = text(getsockname($s));
		my $answer = "$host $port $own " . length($request) . "\n";
		send($s, length($request) > 1000 ? $answer . 'x' x (length($request) - length($answer)) : $answer, 0, $who);
	}
}

sub serve_echo {
	my $s = listening(SOCK_STREAM, @_);
	$SIG{CHLD} = 'IGNORE';
	while (accept(my $c, $s)) {
		next if fork;
		close $s;
		while ((my $n = sysread($c, my $bytes, 65536) // 0) > 0) {
			syswrite($c, $bytes) == $n or exit 1;
		}
		exit 0;
	}
}

sub serve_enough {
	my $s = listening(SOCK_STREAM, @_);
	while (accept(my $c, $s)) {
		sysread($c, my $bytes, 1000);
		select(undef, undef, undef, 0.1);
		syswrite($c, 'x' x 30000);
		close $c;
	}
}

sub failed {
	my ($why, $since) = @_;
	printf "error: %s after %d\n", $why, (time - $since) * 1000;
	exit 1;
}

sub ask {
	my ($type, $address, $port, $from, $length) = @_;
	my $s = sock($address, $type eq 'tcp' ? SOCK_STREAM : SOCK_DGRAM);
	my ($since, $answer, $all) = (time, undef, '');
	bind($s, at(family($address) == AF_INET6 ? '::' : '0.0.0.0', $from)) or die "bind: $!\n" if $from;
	# IP_RECVERR, IPV6_RECVERR: else a host that is not there is not told.
	setsockopt($s, family($address) == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, family($address) == AF_INET6 ? 25 : 11, 1)
		if $type eq 'udp';
	$SIG{ALRM} = sub { failed('nothing', $since) };
	alarm 12;
	connect($s, at($address, $port)) or failed($!, $since);
	send($s, 'x' x ($length || 3), 0) or failed($!, $since);
	do {
		defined recv($s, $answer, 65536, 0) or failed($!, $since);
		$all .= $answer;
	} while ($type eq 'tcp' && $all !~ /\n/ && length $answer);
	failed('closed', $since) unless length $all;
	printf "%s\n", $all =~ /^([^\n]*)/;
	printf "length %d\n", length $all if ($length || 0) > 1000;
}

sub apart {
	my ($one, $other, $port, $from) = @_;
	my @to = map {
		my $s = sock($_, SOCK_DGRAM);
		setsockopt($s, IPPROTO_IPV6, IPV6_V6ONLY, 1) if family($_) == AF_INET6;
		bind($s, at(family($_) == AF_INET6 ? '::' : '0.0.0.0', $from)) or die "bind: $!\n";
		connect($s, at($_, $port)) or die "connect: $!\n";
		$s;
	} $one, $other;
	alarm 20;
	for my $round (1 .. 4) {
		send($to[$_], 'x' x ($round * 10 + $_), 0) for 0, 1;
		for (0, 1) {
			IO::Select->new($to[$_])->can_read(3) or die "round $round: no answer from " . ($one, $other)[$_] . "\n";
			recv($to[$_], my $answer, 65536, 0);
			print $answer;
			$answer =~ / @{[$round * 10 + $_]}$/ or die "round $round: an answer to another\n";
		}
	}
	print "apart\n";
}

sub many {
	my ($address, $port, $count) = @_;
	my (@all, $n);
	alarm 60;
	for (1 .. $count) {
		my $s = sock($address, SOCK_STREAM);
		push @all, $s if connect($s, at($address, $port));
	}
	syswrite($_, "hello") for @all;
	for (@all) {
		$n++ if (sysread($_, my $answer, 4096) // 0) > 0;
	}
	print "answered ", $n // 0, "\n";
}

sub crowd {
	my ($address, $port, $count) = @_;
	my $n = 0;
	for (1 .. $count) {
		my $s = sock($address, SOCK_DGRAM);
		connect($s, at($address, $port)) or die "connect: $!\n";
		send($s, 'hello', 0);
		$n++ if IO::Select->new($s)->can_read(0.02) && defined recv($s, my $answer, 4096, 0);
	}
	print "answered $n\n";
}

sub copy {
	my ($address, $port, $bytes) = @_;
	my ($there, $back, $got, $sent) = (Digest::SHA->new(256), Digest::SHA->new(256), 0, 0);
	my $s = sock($address, SOCK_STREAM);
	my $chunk = join '', map { chr($_ * 7 % 256) } 0 .. 65520;
	alarm 60;
	connect($s, at($address, $port)) or die "connect: $!\n";
	my $child = fork;
	if (!$child) {
		while ($sent < $bytes) {
			my $n = syswrite($s, $chunk, $bytes - $sent < length $chunk ? $bytes - $sent : length $chunk) or exit 1;
			$sent += $n;
			# What was not taken is said again from its place.
			$chunk = substr($chunk, $n) . substr($chunk, 0, $n);
		}
		shutdown($s, 1);
		exit 0;
	}
	while ((my $n = sysread($s, my $part, 65536) // 0) > 0) {
		$back->add($part);
		$got += $n;
	}
	for (my $n = 0; $n < $bytes; $n += length $chunk) {
		$there->add(substr($chunk, 0, $bytes - $n < length $chunk ? $bytes - $n : length $chunk));
	}
	waitpid $child, 0;
	print $got == $bytes && $there->hexdigest eq $back->hexdigest ? "same\n" : "other: $got bytes\n";
}

sub upload {
	my ($address, $port) = @_;
	my $s = sock($address, SOCK_STREAM);
	my $got = 0;
	$SIG{PIPE} = 'IGNORE';
	alarm 20;
	connect($s, at($address, $port)) or die "connect: $!\n";
	while (syswrite($s, 'x' x 65536)) {
	}
	my $why = "$!";
	while ((my $n = sysread($s, my $part, 65536) // 0) > 0) {
		$got += $n;
	}
	print "answered $got, $why\n";
}

sub hold {
	my ($address, $port) = @_;
	my $s = sock($address, SOCK_STREAM);
	connect($s, at($address, $port)) or die "connect: $!\n";
	syswrite($s, 'x');
	sysread($s, my $byte, 1) or die "read: $!\n";
	print "open\n";
	alarm 30;
	sysread($s, $byte, 1);
}

my $what = $verb eq 'serve' ? shift @args : '';
my $do = $verb eq 'serve' ? {tcp => \&serve_tcp, udp => \&serve_udp, echo => \&serve_echo,
	enough => \&serve_enough}->{$what} :
	{ask => \&ask, apart => \&apart, many => \&many, crowd => \&crowd, copy => \&copy, upload => \&upload,
	 hold => \&hold}->{$verb};
die "usage: see the head of this file\n" unless $do;
$do->(@args);

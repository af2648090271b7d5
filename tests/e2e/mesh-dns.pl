#!/usr/bin/perl
# One question to a resolver, as a stub would put it; no more than perl's core.
#
#	mesh-dns.pl SERVER TYPE NAME [tcp] [edns=SIZE]	TYPE: A, AAAA, PTR (NAME is an address then), SOA, NS, TXT
#
# Prints "rcode N flags FLAGS answers N", the OPT record as "edns SIZE", and each answer as "NAME TTL TYPE DATA"; fails when
# nothing answers within 3 s, or with another id or question.
use strict;
use warnings;
use IO::Select;
use Socket qw(:all);

my %types = (A => 1, NS => 2, SOA => 6, PTR => 12, TXT => 16, AAAA => 28);
my ($server, $type, $name, @how) = @ARGV;
die "usage: mesh-dns.pl SERVER TYPE NAME [tcp] [edns=SIZE]\n" if !defined $name || !$types{$type};
my $tcp = grep { $_ eq 'tcp' } @how;
my ($edns) = map { /^edns=(\d+)$/ ? $1 : () } @how;

sub reversed {
	my ($address) = @_;
	return join('.', reverse(split //, unpack 'H*', inet_pton(AF_INET6, $address))) . '.ip6.arpa' if $address =~ /:/;
	return join('.', reverse split /\./, $address) . '.in-addr.arpa';
}

# Where a name begins, and where it ends.
sub read_name {
	my ($bytes, $at) = @_;
	my ($end, @labels) = (undef);
	for (1 .. 128) {
		my $n = ord substr $bytes, $at, 1;
		if ($n >= 0xc0) {
			$end //= $at + 2;
			$at = unpack('n', substr $bytes, $at, 2) & 0x3fff;
		} elsif ($n == 0) {
			return (join('.', @labels), $end // $at + 1);
		} else {
			push @labels, substr $bytes, $at + 1, $n;
			$at += 1 + $n;
		}
	}
	die "a name without end\n";
}

sub data {
	my ($bytes, $type, $at, $len) = @_;
	my $raw = substr $bytes, $at, $len;
	return inet_ntop(AF_INET, $raw) if $type == 1;
	return inet_ntop(AF_INET6, $raw) if $type == 28;
	return (read_name($bytes, $at))[0] if $type == 2 || $type == 12;
	return unpack 'H*', $raw;
}

$name = reversed($name) if $type eq 'PTR' && $name !~ /arpa$/;
my $question = join('', map { pack 'C/a', $_ } split /\./, $name) . pack('Cnn', 0, $types{$type}, 1);
my $id = int rand 65536;
my $query = pack('n6', $id, 0x0100, 1, 0, 0, defined $edns ? 1 : 0) . $question;
$query .= pack('CnnNn', 0, 41, $edns, 0, 0) if defined $edns;

my $family = $server =~ /:/ ? AF_INET6 : AF_INET;
my $to = inet_pton($family, $server) // die "$server: no address\n";
$to = $family == AF_INET6 ? pack_sockaddr_in6(53, $to) : pack_sockaddr_in(53, $to);
socket my $s, $family, $tcp ? SOCK_STREAM : SOCK_DGRAM, 0 or die "socket: $!\n";
alarm 5;
connect $s, $to or die "connect: $!\n";
syswrite $s, $tcp ? pack('n/a', $query) : $query;
my $reply = '';
until ($tcp ? length $reply >= 2 && length $reply >= 2 + unpack 'n', $reply : length $reply) {
	IO::Select->new($s)->can_read(3) or die "no answer\n";
	(sysread $s, $reply, 65536, length $reply) or die "no answer: $!\n";
}
$reply = substr $reply, 2 if $tcp;
my ($got, $flags, $questions, $answers, $authority, $more) = unpack 'n6', $reply;
die "an answer to something else\n" if $got != $id || $questions != 1 || substr($reply, 12, length $question) ne $question;
printf "rcode %d flags %s answers %d size %d\n", $flags & 15,
	join(',', map { $flags & $$_[1] ? $$_[0] : () } ['qr', 0x8000], ['aa', 0x0400], ['tc', 0x0200], ['ra', 0x0080]),
	$answers, length $reply;
my ($at, %text) = (12 + length $question, reverse %types);
for my $i (1 .. $answers + $authority + $more) {
	(my $owner, $at) = read_name($reply, $at);
	my ($kind, $class, $ttl, $len) = unpack 'nnNn', substr $reply, $at, 10;
	$at += 10 + $len;
	if ($kind == 41) {
		print "edns $class\n";
	} elsif ($i <= $answers) {
		print "$owner $ttl ", $text{$kind} // $kind, ' ', data($reply, $kind, $at - $len, $len), "\n";
	}
}

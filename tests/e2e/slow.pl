#!/usr/bin/perl
# A slow way to a server: passes TCP connections on, and lets no more than RATE bytes a second come back.
# usage: slow.pl TARGET_PORT RATE_FILE PORT_FILE
# RATE_FILE is read again ten times a second; 0 lets nothing pass. The port that was taken goes to PORT_FILE.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(sleep);

my ($target, $rate_file, $port_file) = @ARGV;
$SIG{CHLD} = 'IGNORE';
my $door = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
open my $out, '>', "$port_file.new" or die "$port_file: $!";
print $out $door->sockport, "\n";
close $out;
rename "$port_file.new", $port_file or die "$port_file: $!";

sub rate {
	open my $f, '<', $rate_file or return 0;
	my $n = <$f>;
	return defined $n && $n =~ /^(\d+)/ ? $1 : 0;
}

# All of it, or false when the other side has gone.
sub pass {
	my ($to, $bytes) = @_;
	while (length $bytes) {
		my $n = syswrite($to, $bytes);
		return 0 unless defined $n;
		substr $bytes, 0, $n, '';
	}
	return 1;
}

# A tenth of a second's share of bytes at a time.
sub carry {
	my ($client) = @_;
	my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $target) or return;
	my $both = IO::Select->new($client, $server);
	for (;;) {
		my $share = int(rate() / 10);
		for my $from ($both->can_read(0.1)) {
			if ($from == $client) {
				my $n = sysread($client, my $bytes, 65536);
				return unless $n && pass($server, $bytes);
			} elsif ($share > 0) {
				my $n = sysread($server, my $bytes, $share);
				return unless $n && pass($client, $bytes);
				sleep 0.1 * $n / $share;
			} else {
				sleep 0.1;
			}
		}
	}
}

for (;;) {
	my $client = $door->accept or next;
	my $pid = fork;
	if (defined $pid && $pid == 0) {
		$SIG{PIPE} = 'IGNORE';
		close $door;
		carry($client);
		exit 0;
	}
	close $client;
}

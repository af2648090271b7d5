#!/usr/bin/perl
# A static web server on 127.0.0.1 for tests: GET of the files below ROOT, one process for each connection.
# usage: httpd.pl PORTFILE ROOT [LOG]	PORTFILE gets the port once it listens, LOG a line "STATUS PATH" for each request
use strict;
use warnings;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);

my ($portfile, $root, $log) = @ARGV;
die "usage: httpd.pl PORTFILE ROOT [LOG]\n" if !defined $root;
my $listener = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1') or die "listen: $!\n";
open my $f, '>', "$portfile.new" or die "$portfile.new: $!\n";
print $f $listener->sockport, "\n";
close $f or die "$portfile.new: $!\n";
rename "$portfile.new", $portfile or die "$portfile: $!\n";
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';

sub note {
	my ($status, $path) = @_;
	return if !defined $log;
	open my $l, '>>', $log or die "$log: $!\n";
	syswrite $l, "$status $path\n";
}

# All bytes of a file, or a short text; false when the client is gone.
sub reply {
	my ($conn, $status, $len, $file) = @_;
	my $head = "HTTP/1.1 $status\r\nContent-Length: $len\r\n\r\n";
	syswrite($conn, $head) == length $head or return 0;
	while ($len > 0) {
		my $n = sysread $file, my $part, $len < 1 << 18 ? $len : 1 << 18;
		return 0 if !$n;
		for (my $at = 0; $at < $n;) {
			my $out = syswrite $conn, $part, $n - $at, $at;
			return 0 if !$out;
			$at += $out;
		}
		$len -= $n;
	}
	return 1;
}

sub serve {
	my ($conn) = @_;
	my $in = '';
	setsockopt $conn, IPPROTO_TCP, TCP_NODELAY, 1;
	while (1) {
		while (index($in, "\r\n\r\n") < 0) {
			my $n = sysread $conn, $in, 16384, length $in;
			return if !$n;
		}
		my $head = substr $in, 0, index($in, "\r\n\r\n") + 4, '';
		my ($method, $path) = $head =~ m{\A(\S+) (/\S*) HTTP/1} or return;
		my $wanted = $path;
		$path =~ s/\?.*//;
		$path =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
		if ($method eq 'GET' && $path !~ m{/\.\.(?:/|$)} && -f "$root$path" && open my $file, '<:raw', "$root$path") {
			note(200, $wanted);
			reply($conn, '200 OK', -s $file, $file) or return;
		} else {
			note(404, $wanted);
			reply($conn, '404 Not Found', 0) or return;
		}
		return if $head =~ /^connection:\s*close/mi;
	}
}

while (1) {
	my $conn = $listener->accept or next;
	my $pid = fork;
	die "fork: $!\n" if !defined $pid;
	if ($pid == 0) {
		close $listener;
		serve($conn);
		exit 0;
	}
	close $conn;
}

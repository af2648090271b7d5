# tuf-client and a server, a disk or a neighbour that does its worst: answers without end, slow answers, floods of roots,
# damaged and foreign files in its directory, two clients at once.
use strict;
use warnings;

use Rig;
use Time::HiRes qw(sleep time);

my @paths = ('2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json');
my $all_one = 'root 1, snapshot 1, targets 1, timestamp 1';

# ---- answers ----

for my $answer (500, 410, 503, 301, 401, 204, 206, 'reset', 'silent', 'cut', 'headless', 'garbage', 'endless', 'endless head') {
	case "at every step the answer '$answer' ends the refresh, and the next one is whole" => sub {
		my $r = shift;
		$r->init;
		for my $path (@paths) {
			$r->{answer} = { $path => $answer };
			$r->refresh(1, seconds => 30);
			$r->asked_last($path);
			check((grep { $_ eq $path } @{ $r->{log} }) == 1, "$path was asked for again");
		}
		$r->trusts('root 1, snapshot 1, timestamp 1');
		$r->{answer} = {};
		$r->refresh(0);
		$r->trusts($all_one);
	};
}

case 'at the root step 403 and 404 alone say that there is no newer root' => sub {
	my $r = shift;
	$r->init;
	for my $status (403, 404) {
		$r->{answer}{'2.root.json'} = $status;
		$r->refresh(0);
	}
	for my $status (200, 304, 400, 402, 405, 410, 429, 500, 502, 503) {
		$r->{answer}{'2.root.json'} = $status;
		$r->refresh(1);
		$r->asked('2.root.json');
	}
};

case 'elsewhere 403 and 404 are failures' => sub {
	my $r = shift;
	$r->init;
	for my $path (@paths[1 .. 3]) {
		for my $status (403, 404) {
			$r->{answer} = { $path => $status };
			$r->refresh(1);
			$r->asked_last($path);
		}
	}
};

case 'redirects are not followed' => sub {
	my $r = shift;
	$r->init;
	my $url = $r->url('metadata');
	$r->{answer}{'timestamp.json'} = sub { Rig::put($_[0], "HTTP/1.0 302 Found\r\nLocation: ${url}other.json\r\nContent-length: 0\r\n\r\n") };
	$r->serve('other.json', $r->{files}{'timestamp.json'});
	$r->refresh(1);
	$r->asked('2.root.json timestamp.json');
};

# Slow answers go on in a child, so that they cost the client its time and not the server.
sub slowly {
	my ($bytes_a_second, $body) = @_;
	return sub {
		my ($s) = @_;
		my $pid = fork // die "fork: $!";
		push(@Rig::children, $pid), return if $pid;
		sleep 30 if $bytes_a_second < 1;
		my $step = $bytes_a_second >= 10 ? $bytes_a_second / 10 : 1;
		Rig::put($s, "HTTP/1.0 200 OK\r\nContent-length: " . length($body) . "\r\n\r\n");
		while (length $body) {
			Rig::put($s, substr $body, 0, $step, '') or last;
			sleep($step / $bytes_a_second);
		}
		POSIX::_exit(0);
	};
}

case 'an answer that comes slowly but surely is waited for' => sub {
	my $r = shift;
	$r->init;
	$r->{answer}{'timestamp.json'} = slowly(2000, $r->{files}{'timestamp.json'});
	$r->refresh(0);
	$r->trusts($all_one);
};

# The client's clock runs fast here, or these would take minutes.
sub hurried { return under => ['faketime', '-f', '+0 x20'], env => { ASAN_OPTIONS => ($ENV{ASAN_OPTIONS} // '') .
	':verify_asan_link_order=0' }, seconds => 30 }

for (['one byte a second', slowly(1, ' ' x 1000)], ['nothing at all', slowly(0.01, '')]) {
	my ($what, $how) = @$_;
	case "a server that sends $what does not hold the client for ever" => sub {
		my $r = shift;
		$r->init;
		for my $path (@paths[0, 1]) {
			$r->{answer} = { $path => $how };
			$r->refresh(1, hurried());
			$r->asked_last($path);
			check($r->said =~ /second|slow|time/, 'the reason is named');
		}
	};
}

case 'HTTP/1.1 with the connection kept, and with chunks, is understood' => sub {
	my $r = shift;
	$r->init;
	my $body = $r->{files}{'timestamp.json'};
	my $chunks = join '', map { sprintf("%x\r\n%s\r\n", length, $_) } unpack '(a100)*', $body;
	$r->{answer}{'timestamp.json'} = sub {
		Rig::put($_[0], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n");
	};
	$r->refresh(0);
	$r->trusts($all_one);
};

case 'an answer without a length is refused: its end could not be told from a cut' => sub {
	my $r = shift;
	$r->init;
	$r->{answer}{'timestamp.json'} = sub { Rig::put($_[0], "HTTP/1.0 200 OK\r\n\r\n$r->{files}{'timestamp.json'}") };
	$r->refresh(1);
	$r->trusts('root 1');
};

# ---- sizes ----

for (['timestamp', 16 << 10], ['root', 512 << 10]) {
	my ($role, $limit) = @$_;
	case "$role metadata of its full size is read, one byte more is not" => sub {
		my $r = shift;
		$r->publish($role);
		$r->init;
		my $bare = $r->{bodies}{$role};
		$r->edit($role => sub { $_ = $bare . ' ' x ($limit + 1 - length $bare) });
		$r->refresh(1);
		$r->edit($role => sub { $_ = $bare . ' ' x ($limit - length $bare) });
		$r->refresh(0);
	};
}

case 'JSON is read 64 deep and no deeper' => sub {
	my $r = shift;
	my $deep = sub { my $v = num(1); $v = [$v] for 1 .. shift; return $v };
	$r->init;
	# The file and `signed` are two of the levels.
	$r->doc('timestamp')->{x} = $deep->(62);
	$r->publish('timestamp');
	$r->refresh(0);
	$r->doc('timestamp')->{x} = $deep->(63);
	$r->publish('timestamp');
	$r->refresh(1);
	$r->trusts('root 1, snapshot 1, targets 1, timestamp 2');
};

case 'a signed length beyond all measure is refused before anything is asked for' => sub {
	my $r = shift;
	$r->doc('timestamp')->{meta}{'snapshot.json'}{length} = num('9223372036854775807');
	$r->publish('timestamp');
	$r->init;
	$r->refresh(1);
	$r->asked_last('timestamp.json');
};

case 'a chain of 256 roots is taken in one refresh, the rest in the next' => sub {
	my $r = shift;
	$r->init;
	$r->publish('root') for 1 .. 260;
	$r->refresh(0);
	check((grep { /root/ } @{ $r->{log} }) == 256, 'roots asked for: ' . grep { /root/ } @{ $r->{log} });
	$r->trusts('root 257, snapshot 1, targets 1, timestamp 1');
	$r->refresh(0);
	$r->trusts('root 261, snapshot 1, targets 1, timestamp 1');
};

# ---- what may lie in the metadata directory ----

my %damages = (
	empty => sub { '' }, torn => sub { substr $_[0], 0, length($_[0]) / 2 }, 'one bit flipped' => sub {
		my $t = shift; substr($t, length($t) / 2, 1) ^= "\x01"; $t },
	zeros => sub { "\0" x length $_[0] }, garbage => sub { "\xff\xfe{]" x 1000 }, 'another file' => sub { '{"signed": {}, "signatures": []}' },
	'no JSON object' => sub { '[]' }, huge => sub { ' ' x 20_000_000 },
);

for my $what (sort keys %damages) {
	case "a stored file that is damaged ($what) heals" => sub {
		my $r = shift;
		$r->delegate('targets', 'A');
		$r->artifact('A', 'x', 'contents');
		$r->publish(qw(A targets snapshot timestamp root));
		$r->init;
		$r->download(0, 'x');
		for my $role (qw(root timestamp snapshot targets A)) {
			my $path = "$r->{m}/$role.json";
			spew($path, $damages{$what}->(slurp($path)));
			$r->download(0, 'x', unwatched => 1);
			# The file of a delegated role is read again when a search comes to it: x may be known without.
			$r->download(1, 'missing', unwatched => 1);
			$r->trusts('A 1, root 2, snapshot 2, targets 2, timestamp 2');
		}
		for my $role (qw(root timestamp snapshot targets A)) {
			spew("$r->{m}/$role.json", $damages{$what}->(slurp("$r->{m}/$role.json")));
		}
		$r->refresh(0, unwatched => 1);
		$r->download(0, 'x', unwatched => 1);
		$r->trusts('A 1, root 2, snapshot 2, targets 2, timestamp 2');
	};
}

case 'stored files that are gone are fetched again, from the pinned root on' => sub {
	my $r = shift;
	$r->publish('root') for 1 .. 2;
	$r->init;
	$r->refresh(0);
	for my $role (qw(root timestamp snapshot targets)) {
		unlink "$r->{m}/$role.json";
		$r->refresh(0);
		$r->trusts('root 3, snapshot 1, targets 1, timestamp 1');
	}
};

case 'stored files of a stranger are not used, however well they fit each other' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	my $s = Rig->new;
	$s->drop_keys($_), $s->add_key($_, key('ecdsa', 95)) for qw(timestamp snapshot targets);
	$s->{set}{$_} = 9 for qw(timestamp snapshot targets);
	$s->publish(qw(targets snapshot timestamp));
	spew("$r->{m}/$_.json", $s->{bodies}{$_}) for qw(timestamp snapshot targets);
	$r->refresh(0, unwatched => 1);
	$r->asked('2.root.json timestamp.json 1.snapshot.json 1.targets.json');
	$r->trusts($all_one);
};

case 'what is remembered beside the files may be damaged, exchanged or gone' => sub {
	my $r = shift;
	$r->artifact('targets', 'x', 'contents');
	$r->publish(qw(targets snapshot timestamp));
	$r->init;
	$r->download(0, 'x');
	my $other = Rig->new;
	$other->artifact('targets', 'x', 'of a stranger');
	$other->publish(qw(targets snapshot timestamp));
	$other->init;
	$other->download(0, 'x');
	my @ours = grep { !/\.json$/ && !/^(anchor|lock)$/ && -f "$r->{m}/$_" } ls($r->{m});
	check(@ours, 'nothing is remembered');
	for my $name (@ours) {
		my $path = "$r->{m}/$name";
		my $was = slurp($path);
		for my $text ('', 'garbage' x 1000, substr($was, 0, length($was) / 2), "\0" x length $was,
			slurp("$other->{m}/$name") // '') {
			spew($path, $text);
			unlink Rig::files_below($r->{d});
			$r->download(0, 'x');
			$r->holds('contents');
		}
		unlink $path;
		$r->download(0, 'x');
		$r->trusts('root 1, snapshot 2, targets 2, timestamp 2');
	}
};

case 'files that are not ours in the directory are left alone' => sub {
	my $r = shift;
	$r->init;
	spew("$r->{m}/$_", 'mine') for qw(notes.txt .hidden README);
	mkdir "$r->{m}/dir";
	spew("$r->{m}/dir/file", 'mine');
	$r->refresh(0);
	$r->refresh(0);
	check(slurp("$r->{m}/$_") eq 'mine', "$_ was changed") for qw(notes.txt .hidden README dir/file);
};

case 'a link in the place of a stored file is not written through' => sub {
	my $r = shift;
	$r->init;
	spew("$r->{dir}/outside", 'precious');
	symlink "$r->{dir}/outside", "$r->{m}/timestamp.json";
	$r->refresh(0);
	check(slurp("$r->{dir}/outside") eq 'precious', 'written through the link');
	check(!-l "$r->{m}/timestamp.json", 'still a link');
};

case 'a directory in the place of a stored file is a failure that says so' => sub {
	my $r = shift;
	$r->init;
	mkdir "$r->{m}/snapshot.json";
	$r->refresh(1, unwatched => 1);
	check($r->said =~ /snapshot\.json/, 'the file is named');
	rmdir "$r->{m}/snapshot.json" or die 'the directory was changed';
	$r->refresh(0);
	$r->trusts($all_one);
};

# ---- two at once ----

case 'a second client on the same directory waits or says so, and spoils nothing' => sub {
	my $r = shift;
	$r->init;
	my $second;
	$r->{answer}{'timestamp.json'} = sub {
		my $pid = $r->spawn({}, split(/ /, $ENV{RIG_CLIENT} || 'meshanics tuf-client'), '--metadata-url', $r->url('metadata'),
			'--metadata-dir', $r->{m}, 'refresh');
		my $end = time + 10;
		sleep 0.02 while !($second = waitpid $pid, POSIX::WNOHANG()) && time < $end;
		$second = $second == $pid ? $? >> 8 : 'still waiting';
		kill 'KILL', $pid if $second eq 'still waiting';
		Rig::put($_[0], Rig::http(200, $r->{files}{'timestamp.json'}));
	};
	$r->refresh(0);
	check($second eq '1', "the second one: $second");
	$r->trusts($all_one);
};

case 'eight clients started at once: each ends with 0 or 1, and the state is whole' => sub {
	my $r = shift;
	$r->artifact('targets', 'x', 'contents');
	$r->publish(qw(targets snapshot timestamp));
	$r->init;
	my @pids = map { $r->spawn({}, split(/ /, $ENV{RIG_CLIENT} || 'meshanics tuf-client'), '--metadata-url', $r->url('metadata'),
		'--metadata-dir', $r->{m}, '--target-name', 'x', '--target-dir', $r->{d}, '--target-base-url', $r->url('targets'),
		'download') } 1 .. 7;
	$r->download('any', 'x', unwatched => 1);
	my @status;
	for my $pid (@pids) {
		# Those that still talk are served until they end.
		until (waitpid($pid, POSIX::WNOHANG()) == $pid) {
			my $bits = '';
			vec($bits, fileno Rig::listen_on(), 1) = 1;
			if (select($bits, undef, undef, 0.01) > 0 && (my $s = Rig::listen_on()->accept)) {
				$r->answer_one($s);
				close $s;
			}
		}
		push @status, $? & 127 ? 'signal' : $? >> 8;
	}
	check(!grep({ $_ !~ /^[01]$/ } @status), "ended with @status");
	$r->download(0, 'x');
	$r->holds('contents');
	$r->trusts('root 1, snapshot 2, targets 2, timestamp 2');
};

run_cases;

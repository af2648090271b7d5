# tuf-client and the four top-level roles: what it asks for, what it stores, what it refuses (specification 5.2 to 5.6).
use strict;
use warnings;

use Rig;

my $first = '2.root.json timestamp.json 1.snapshot.json 1.targets.json';
my $all_one = 'root 1, snapshot 1, targets 1, timestamp 1';

# ---- the first refresh, and the next ----

case 'a first refresh asks for four files, in order, and for nothing else (5.3 to 5.6)' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	$r->asked($first);
};

case 'a refresh that finds nothing new asks for root and timestamp alone' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	for (1 .. 2) {
		$r->refresh(0);
		$r->asked('2.root.json timestamp.json');
	}
	$r->trusts($all_one);
};

case 'what is stored is what was served, under the names of the roles' => sub {
	my $r = shift;
	$r->init;
	check(set_of(grep { /\.json$/ } ls($r->{m})) eq 'root.json', 'after init only root.json is there');
	$r->refresh(0);
	for my $role (qw(root timestamp snapshot targets)) {
		check(slurp("$r->{m}/$role.json") eq $r->{bodies}{$role}, "$role.json differs from what was served");
	}
	check(set_of(grep { /\.json$/ } ls($r->{m})) eq 'root.json snapshot.json targets.json timestamp.json', 'other files');
};

case 'metadata is stored byte for byte, a space at its end and all' => sub {
	my $r = shift;
	$r->edit($_ => sub { $_ .= " \n\t " }) for qw(timestamp snapshot targets);
	$r->init;
	$r->refresh(0);
	check(slurp("$r->{m}/$_.json") eq $r->{bodies}{$_}, "$_ was stored in another form") for qw(timestamp snapshot targets);
};

case 'download refreshes by itself, also when the target does not exist (5.7)' => sub {
	my $r = shift;
	$r->init;
	$r->download(1, 'nonexistent artifact');
	$r->asked($first);
	$r->trusts($all_one);
	$r->holds;
};

case 'every request is a plain GET with the server in Host' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	my ($port) = $r->url('metadata') =~ /:(\d+)/;
	check($r->{head} =~ /^GET \S+ HTTP\/1\.1\r\n/, 'the request line');
	check($r->{head} =~ /\r\nHost: 127\.0\.0\.1:$port\r\n/i, 'Host');
	check($r->{head} !~ /\r\n(Cookie|Authorization|Referer):/i, 'a header that says too much');
};

case 'a server at a base URL without the last slash is the same' => sub {
	my $r = shift;
	$r->init;
	(my $url = $r->url('metadata')) =~ s{/$}{};
	$r->expect(0, {}, '--metadata-url', $url, '--metadata-dir', $r->{m}, 'refresh');
	$r->asked($first);
};

# ---- the command line ----

case 'only 0 and 1 are answered: wrong words, missing options, unusable URLs, absent files' => sub {
	my $r = shift;
	my ($m, $u) = ($r->{m}, $r->url('metadata'));
	$r->expect(1, {}, @$_) for ['--metadata-dir', $m, 'init', "$r->{dir}/none.json"], ['--metadata-dir', $m, 'init', $m],
		['--metadata-dir', $m, '--metadata-url', $u, 'refresh'], ['--metadata-dir', $m, 'update'],
		['--metadata-url', $u, 'refresh'];
	$r->init;
	$r->expect(1, {}, '--metadata-dir', "$r->{dir}/trusted.json/x", '--metadata-url', $u, 'refresh');
	$r->expect(1, {}, @$_) for ['--metadata-dir', $m, 'refresh'],
		(map { ['--metadata-dir', $m, '--metadata-url', $_, 'refresh'] } '', 'ftp://127.0.0.1/', 'http://', 'x',
			'http://127.0.0.1:99999/', 'https://127.0.0.1:1/', 'http://127.0.0.1:1/', 'http://nowhere.invalid/'),
		['--metadata-dir', $m, '--metadata-url', $u, 'download'],
		['--metadata-dir', $m, '--metadata-url', $u, '--target-name', 'x', '--target-base-url', $u, 'download'],
		['--metadata-dir', $m, '--metadata-url', $u, '--target-name', 'x', '--target-dir', $r->{d}, 'download'];
	$r->trusts('root 1');
};

case 'what is no command line at all is 1 as well, unlike in other verbs' => sub {
	my $r = shift;
	$r->expect(1, {}, @$_) for [], ['--no-such-option', 'x', 'refresh'], ['--metadata-dir'], [qw(refresh now please)];
};

# ---- the trusted root ----

for (['no version' => sub { s/"version": 1/"versions": 1/ }], ['version 0' => sub { s/"version": 1/"version": 0/ }],
	['another signature' => sub { s/"sig": "\w+"/'"sig": "304402' . '20' . '11' x 32 . '0220' . '11' x 32 . '"'/e }],
	['no signature' => sub { s/("signatures": )\[.*?\]/$1\[\]/s }], ['another type' => sub { s/"_type": "root"/"_type": "rooot"/ }],
	['torn' => sub { substr($_, length($_) / 2) = '' }], ['empty' => sub { $_ = '' }], ['no JSON' => sub { $_ = "root!\n" }],
	['one byte changed' => sub { s/"spec_version": "1.0.31"/"spec_version": "1.0.32"/ }]) {
	my ($what, $how) = @$_;
	case "a trusted root is refused before any request: $what (5.2)" => sub {
		my $r = shift;
		local $_ = $r->{files}{'1.root.json'};
		$how->();
		$r->init('any', $_);
		$r->refresh(1);
		$r->asked('');
		$r->download(1, 'x');
		$r->asked('');
	};
}

case 'an expired trusted root may still lead to one that is not (5.3.10)' => sub {
	my $r = shift;
	$r->root->{expires} = utc(-10);
	$r->publish('root');
	my $old = $r->{bodies}{root};
	$r->root->{expires} = utc(10);
	$r->publish('root');
	$r->init(0, $old);
	$r->refresh(0);
	$r->trusts('root 3, snapshot 1, targets 1, timestamp 1');
	$r->asked('3.root.json 4.root.json timestamp.json 1.snapshot.json 1.targets.json');
};

# ---- signatures ----

for (['root', 'root 1'], ['timestamp', 'root 2'], ['snapshot', 'root 2, timestamp 2'],
	['targets', 'root 2, snapshot 2, timestamp 2']) {
	my ($role, $trusts) = @$_;
	case "$role without a signature is refused, what came before it is kept (5.3.4, 5.4.2, 5.5.3, 5.6.3)" => sub {
		my $r = shift;
		pop @{ $r->{signers}{$role} };
		$r->publish(qw(root targets snapshot timestamp));
		$r->init;
		$r->refresh(1);
		$r->trusts($trusts);
	};
	case "$role signed by another role's key is refused" => sub {
		my $r = shift;
		$r->{signers}{$role} = $r->{signers}{ { root => 'targets', timestamp => 'snapshot', snapshot => 'timestamp',
			targets => 'root' }->{$role} };
		$r->publish(qw(root targets snapshot timestamp));
		$r->init;
		$r->refresh(1);
		$r->trusts($trusts);
	};
	case "$role with one signed byte changed is refused" => sub {
		my $r = shift;
		$r->publish(qw(root targets snapshot timestamp));
		my $changed = sub { s/"spec_version": "1.0.31"/"spec_version": "1.0.30"/ or die };
		my $version = $r->version($role);
		my $path = $r->path_of($role, $version);
		for ($r->{files}{$path}) { $changed->() }
		$r->init;
		$r->refresh(1);
		$r->trusts($trusts);
	};
}

# ---- versions, lengths, hashes ----

for (['root', 'root 1'], ['snapshot', 'root 2, timestamp 2'], ['targets', 'root 2, snapshot 2, timestamp 2']) {
	my ($role, $trusts) = @$_;
	case "$role whose version is not that of its URL is refused (5.3.5, 5.5.4, 5.6.4)" => sub {
		my $r = shift;
		my $doc = $r->doc($role);
		$r->publish(qw(root targets snapshot timestamp));
		$doc->{version} = num(3);
		$r->{files}{"2.$role.json"} = $r->sign($role);
		$r->init;
		$r->refresh(1);
		$r->trusts($trusts);
	};
}

case 'a timestamp of the same version but other content changes nothing (5.4.3.1)' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	$r->doc('timestamp')->{meta}{'snapshot.json'}{version} = num(100);
	$r->{files}{'timestamp.json'} = $r->sign('timestamp');
	$r->refresh(0);
	$r->asked_last('timestamp.json');
	$r->trusts($all_one);
};

case 'lengths and hashes of metadata are checked (5.5.2, 5.6.2)' => sub {
	my $r = shift;
	$r->{hashes} = 1;
	$r->publish(qw(targets snapshot timestamp));
	$r->init;
	$r->refresh(0);
	$r->publish('targets');
	$r->doc('snapshot')->{meta}{'targets.json'}{hashes}{sha256} = sha256_hex('other');
	$r->publish(qw(snapshot timestamp));
	$r->refresh(1);
	$r->trusts('root 1, snapshot 3, targets 2, timestamp 3');
};

case 'a hash of the snapshot that is wrong, in the timestamp (5.5.2)' => sub {
	my $r = shift;
	$r->{hashes} = 1;
	$r->publish(qw(targets snapshot timestamp));
	$r->init;
	$r->refresh(0);
	$r->publish(qw(targets snapshot));
	$r->doc('timestamp')->{meta}{'snapshot.json'}{hashes}{sha256} = sha256_hex('other');
	$r->publish('timestamp');
	$r->refresh(1);
	$r->trusts('root 1, snapshot 2, targets 2, timestamp 3');
};

for (['one byte longer', 1], ['one byte shorter', -1]) {
	my ($what, $by) = @$_;
	case "a file $what than it is signed to be is refused (5.5.2, 5.6.2)" => sub {
		my $r = shift;
		$r->{hashes} = 1;
		$r->publish('targets');
		my $length = \$r->doc('snapshot')->{meta}{'targets.json'}{length};
		$$length = num($$$length + $by);
		delete $r->doc('snapshot')->{meta}{'targets.json'}{hashes};
		$r->publish(qw(snapshot timestamp));
		$r->init;
		$r->refresh(1);
		$r->trusts('root 1, snapshot 2, timestamp 2');
	};
}

case 'a new targets file that no snapshot lists is not asked for' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	$r->publish('targets');
	$r->refresh(0);
	$r->asked_last('timestamp.json');
	$r->trusts($all_one);
};

case 'the snapshot that the timestamp names is the one that is asked for, not a newer one' => sub {
	my $r = shift;
	$r->publish('snapshot');
	$r->doc('timestamp')->{meta}{'snapshot.json'}{version} = num(1);
	$r->publish('timestamp');
	$r->init;
	$r->refresh(0);
	$r->asked('2.root.json timestamp.json 1.snapshot.json 1.targets.json');
};

case 'without consistent snapshots names have no versions (6.2)' => sub {
	my $r = shift;
	$r->{consistent} = 0;
	$r->root->{consistent_snapshot} = \'false';
	$r->publish(qw(root targets snapshot timestamp));
	$r->init;
	$r->refresh(0);
	$r->asked('2.root.json 3.root.json timestamp.json snapshot.json targets.json');
	$r->trusts('root 2, snapshot 2, targets 2, timestamp 2');
};

case 'without consistent snapshots a mixture of versions is refused (5.5.4)' => sub {
	my $r = shift;
	$r->{consistent} = 0;
	$r->root->{consistent_snapshot} = \'false';
	$r->publish(qw(root targets snapshot timestamp));
	$r->init;
	$r->refresh(0);
	$r->publish(qw(targets snapshot));
	$r->refresh(0);
	$r->asked_last('timestamp.json');
	$r->publish('timestamp');
	$r->publish('targets');
	$r->refresh(1);
	$r->trusts('root 2, snapshot 3, targets 2, timestamp 3');
};

# ---- what is missing ----

case 'a snapshot that is not there fails the refresh, the timestamp is kept (5.5.1)' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	$r->doc('timestamp')->{meta}{'snapshot.json'}{version} = num(2);
	$r->publish('timestamp');
	$r->refresh(1);
	$r->asked_last('2.snapshot.json');
	$r->trusts('root 1, snapshot 1, targets 1, timestamp 2');
};

case 'targets that are not there fail the refresh, timestamp and snapshot are kept (5.6.1)' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	$r->doc('snapshot')->{meta}{'targets.json'}{version} = num(2);
	$r->publish(qw(snapshot timestamp));
	$r->refresh(1);
	$r->asked_last('2.targets.json');
	$r->trusts('root 1, snapshot 2, targets 1, timestamp 2');
};

case 'a timestamp that is not there fails the refresh (5.4.1)' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	$r->withdraw('timestamp');
	$r->refresh(1);
	$r->asked_last('timestamp.json');
	$r->trusts($all_one);
};

for my $role (qw(root timestamp snapshot targets)) {
	case "a connection closed without an answer is a failure: $role" => sub {
		my $r = shift;
		my %path = (root => '2.root.json', timestamp => 'timestamp.json', snapshot => '1.snapshot.json',
			targets => '1.targets.json');
		$r->{answer}{ $path{$role} } = 'silent';
		$r->init;
		$r->refresh(1, seconds => 20);
		$r->asked_last($path{$role});
		check(@{ $r->{log} } == { root => 1, timestamp => 2, snapshot => 3, targets => 4 }->{$role}, 'asked again');
	};
}

case 'after a failure at any file the next refresh completes what was begun' => sub {
	my $r = shift;
	$r->init;
	for my $path ('2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json') {
		$r->{answer} = { $path => 'silent' };
		$r->refresh(1);
	}
	$r->trusts('root 1, snapshot 1, timestamp 1');
	$r->{answer} = {};
	$r->refresh(0);
	$r->asked('2.root.json timestamp.json 1.targets.json');
	$r->trusts($all_one);
};

# ---- types, unknown fields, forms ----

case 'a snapshot in the place of the timestamp is refused, though its signatures hold (4.3)' => sub {
	my $r = shift;
	my ($k) = @{ $r->{signers}{timestamp} };
	$r->add_key('snapshot', $k);
	$r->doc('snapshot')->{meta} = { 'snapshot.json' => { version => num(1) } };
	$r->publish(qw(root snapshot));
	$r->{files}{'timestamp.json'} = $r->{files}{'2.snapshot.json'};
	$r->init;
	$r->refresh(1);
	$r->trusts('root 2');
};

case 'unknown fields at every level are signed with the rest, and do no harm (4)' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	my $k = key('ecdsa', 90, { 'extra-field' => { a => num(1), b => [num(2), 'three', \'null', \'true'] } });
	$r->add_key('root', $k);
	$r->root->{'custom-field'} = 'value "quoted" \\ and a line' . "\n" . 'end';
	$r->root->{"k\xc3\xa9y"} = "\xf0\x9f\x94\x91";
	$r->role('root')->{'another-field'} = {};
	$r->role('timestamp')->{"\xef\xbd\xa1"} = num(-7);
	$r->doc($_)->{'x-y'} = { deep => [[], {}, ['']] } for qw(timestamp snapshot targets);
	$r->publish('targets');
	$r->doc('snapshot')->{meta}{'targets.json'}{'x-z'} = 'z';
	$r->publish(qw(snapshot));
	$r->doc('timestamp')->{meta}{'snapshot.json'}{'x-z'} = 'z';
	$r->publish(qw(timestamp root));
	$r->refresh(0);
	$r->trusts('root 2, snapshot 2, targets 2, timestamp 2');
};

case 'keys of objects are sorted by code points, not by UTF-16 units (4.2)' => sub {
	my $r = shift;
	# U+FF61 before U+1F511 by code point; the other way round by UTF-16.
	$r->doc('timestamp')->{x} = { "\xef\xbd\xa1" => num(1), "\xf0\x9f\x94\x91" => num(2) };
	$r->publish('timestamp');
	$r->init;
	$r->refresh(0);
	$r->trusts('root 1, snapshot 1, targets 1, timestamp 2');
};

case 'unknown fields outside what is signed do no harm' => sub {
	my $r = shift;
	$r->edit(timestamp => sub { s/\A\{/{"note": [1, {"a": null}],/ });
	$r->edit(snapshot => sub { s/"keyid"/"method": "x", "keyid"/ });
	$r->init;
	$r->refresh(0);
	$r->trusts($all_one);
};

case 'keyid_hash_algorithms of a key says nothing to the client (4.2)' => sub {
	my $r = shift;
	$r->init;
	$r->drop_keys('snapshot');
	$r->add_key('snapshot', key('ecdsa', 91, { keyid_hash_algorithms => 'md5' }));
	$r->publish(qw(root snapshot timestamp));
	$r->refresh(0);
	$r->trusts('root 2, snapshot 2, targets 1, timestamp 2');
};

case 'a key id that is not that of its key is refused (4.2)' => sub {
	my $r = shift;
	my ($k) = @{ $r->{signers}{snapshot} };
	my $other = sha256_hex('other');
	$r->root->{keys}{$other} = delete $r->root->{keys}{ $k->{id} };
	$r->role('snapshot')->{keyids} = [$other];
	$r->publish('root');
	$r->init;
	$r->refresh(1);
	$r->trusts('root 1');
};

for (['spec_version 2.0.0', 'spec_version', '2.0.0'], ['spec_version 0.9', 'spec_version', '0.9'],
	['spec_version as a number', 'spec_version', num(1)], ['version 0', 'version', num(0)], ['version -1', 'version', num(-1)],
	['version true', 'version', \'true'], ['version "2"', 'version', '2'], ['version 2.0', 'version', \'2.0'],
	['version 2e0', 'version', \'2e0'], ['version 2^63', 'version', \'9223372036854775808'],
	['version null', 'version', \'null'], ['expires "never"', 'expires', 'never'],
	['expires without a zone', 'expires', '2099-01-01T00:00:00'], ['expires with an offset', 'expires', '2099-01-01T00:00:00+00:00'],
	['expires with a fraction', 'expires', '2099-01-01T00:00:00.5Z'], ['expires on 30 February', 'expires', '2099-02-30T00:00:00Z'],
	['expires with a space', 'expires', '2099-01-01 00:00:00Z'], ['expires as a number', 'expires', num(4102444800)],
	['expires ""', 'expires', '']) {
	my ($what, $member, $value) = @$_;
	my %kept = (timestamp => "root 1, snapshot 1, targets 1, timestamp 1",
		snapshot => "root 1, snapshot 1, targets 1, timestamp 2", targets => "root 1, snapshot 2, targets 1, timestamp 2");
	for my $role (qw(timestamp snapshot targets)) {
		case "$role is read strictly: $what (4.3)" => sub {
			my $r = shift;
			$r->init;
			$r->refresh(0);
			$r->publish($role, $role eq "targets" ? "snapshot" : (), $role ne "timestamp" ? "timestamp" : ());
			$r->doc($role)->{$member} = $value;
			$r->{files}{ $r->path_of($role, 2) } = $r->sign($role);
			$r->refresh(1);
			$r->trusts($kept{$role});
		};
	}
}

for my $spec (qw(1 1.0 1.0.0 1.2.3 1.99.99)) {
	case "spec_version $spec is spoken here (4.3)" => sub {
		my $r = shift;
		$r->doc($_)->{spec_version} = $spec for qw(root timestamp snapshot targets);
		$r->publish(qw(root targets snapshot timestamp));
		$r->init;
		$r->refresh(0);
		$r->trusts('root 2, snapshot 2, targets 2, timestamp 2');
	};
}

# ---- time ----

case 'the clock of the client is the one that faketime sets, forward' => sub {
	my $r = shift;
	$r->init;
	$r->root->{expires} = utc(7);
	$r->publish('root');
	$r->refresh(0);
	$r->refresh(1, at => 8);
	check($r->said =~ /expired/, 'says that it expired');
	$r->refresh(0, at => 6);
};

case 'and backward: what has expired today was good then, and no floor remembers today' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	$r->doc('timestamp')->{expires} = utc(-5);
	$r->publish('timestamp');
	$r->refresh(1);
	$r->refresh(0, at => -6);
	$r->trusts('root 1, snapshot 1, targets 1, timestamp 2');
	$r->refresh(1);
};

run_cases;

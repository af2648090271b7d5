# tuf-client and keys: kinds, thresholds, duplicates, odd signatures, rotations of every role (specification 4.2, 5.3, 6.1).
use strict;
use warnings;

use Rig;

# ---- kinds of keys ----

for my $kind (qw(ecdsa ecdsa-old ed25519 rsa p384)) {
	case "a $kind key counts for root when it signs, and not when its signature is wrong" => sub {
		my $r = shift;
		$r->init;
		my $k = $r->add_key('root', key($kind, 50));
		$r->role('root')->{threshold} = num(2);
		$r->publish('root');
		$r->refresh(0);
		$r->trusts('root 2, snapshot 1, targets 1, timestamp 1');
		# A signature that is right in form and over something else.
		my ($old) = $r->{bodies}{root} =~ /"keyid": "$k->{id}",\s*"sig": "(\w+)"/ or die;
		$r->publish('root');
		$r->edit(root => sub { s/("keyid": "$k->{id}",\s*"sig": ")\w+/$1$old/ or die });
		$r->refresh(1);
		$r->trusts('root 2, snapshot 1, targets 1, timestamp 1');
	};
	case "a $kind key for timestamp, snapshot and targets" => sub {
		my $r = shift;
		$r->drop_keys($_), $r->add_key($_, key($kind, 50)) for qw(timestamp snapshot targets);
		$r->publish(qw(targets snapshot timestamp root));
		$r->init;
		$r->refresh(0);
		$r->trusts('root 2, snapshot 2, targets 2, timestamp 2');
	};
}

case 'RSA-PSS with salts of other lengths' => sub {
	my $r = shift;
	for (0, 20, 64) {
		$r->drop_keys('timestamp');
		$r->add_key('timestamp', { %{ key('rsa', 50) }, salt => $_ });
		$r->doc('timestamp')->{salt} = num($_);
		$r->publish(qw(root timestamp));
		$r->init if $_ == 0;
		$r->refresh(0);
	}
};

case 'an ECDSA key as a bare point in hex, as old tools wrote it' => sub {
	my $r = shift;
	my $k = key('ecdsa-old', 51);
	$k->{object}{keyval}{public} = unpack 'H*', substr $k->{der}, -65;
	$k->{id} = sha256_hex(canonical($k->{object}));
	$r->drop_keys('timestamp');
	$r->add_key('timestamp', $k);
	$r->publish(qw(timestamp root));
	$r->init;
	$r->refresh(0);
};

for (['an unknown scheme', scheme => 'ed448'], ['an unknown key type', keytype => 'dilithium'],
	['a scheme of another key type', scheme => 'rsassa-pss-sha256'], ['a broken value', keyval => { public => 'zz' }],
	['an empty value', keyval => { public => '' }]) {
	my ($what, $member, $value) = @$_;
	case "a key with $what does not count, and does no harm" => sub {
		my $r = shift;
		my $k = key('ed25519', 52);
		$k->{object}{$member} = $value;
		$k->{id} = sha256_hex(canonical($k->{object}));
		$r->add_key('timestamp', $k);
		$r->publish(qw(root timestamp));
		$r->init;
		$r->refresh(0);
		$r->role('timestamp')->{threshold} = num(2);
		$r->publish(qw(root timestamp));
		$r->refresh(1);
		$r->trusts('root 3, snapshot 1, targets 1, timestamp 2');
	};
}

# ---- thresholds ----

case 'a snapshot signed by two of three keys where three are needed (5.5.3)' => sub {
	my $r = shift;
	$r->role('snapshot')->{threshold} = num(3);
	$r->add_key('snapshot') for 1 .. 2;
	$r->publish(qw(root targets snapshot timestamp));
	$r->init;
	$r->refresh(0);
	pop @{ $r->{signers}{snapshot} };
	$r->publish(qw(targets snapshot timestamp));
	$r->refresh(1);
	$r->trusts('root 2, snapshot 2, targets 2, timestamp 3');
};

case 'a threshold that no number of its keys can reach (5.5.3)' => sub {
	my $r = shift;
	$r->init;
	$r->add_key('snapshot') for 1 .. 4;
	$r->role('snapshot')->{threshold} = num(6);
	$r->publish(qw(root snapshot timestamp));
	$r->refresh(1);
	$r->trusts('root 2, timestamp 2');
};

for my $t ('0', '-1', '"1"', '1.0', 'true', 'null') {
	for my $role (qw(root timestamp snapshot targets)) {
		case "a threshold of $t for $role is refused with the root that says so (4.3)" => sub {
			my $r = shift;
			$r->role($role)->{threshold} = \$t;
			$r->publish('root');
			$r->init;
			$r->refresh(1);
			$r->trusts('root 1');
		};
	}
}

case 'one key counts once, however often it is listed and signs' => sub {
	my $r = shift;
	$r->init;
	my $k = $r->add_key('snapshot');
	push @{ $r->role('snapshot')->{keyids} }, ($k->{id}) x 8;
	$r->role('snapshot')->{threshold} = num(6);
	$r->publish(qw(root snapshot timestamp));
	my ($entry) = $r->{bodies}{snapshot} =~ /(\{\s*"keyid": "$k->{id}",\s*"sig": "\w+"\s*\})/ or die;
	$r->edit(snapshot => sub { s/("signatures": \[)/$1 . "$entry,\n" x 8/e or die });
	$r->refresh(1);
	$r->trusts('root 1');
};

case 'a key id listed twice among the signatures spoils the file (4.2.1)' => sub {
	my $r = shift;
	$r->init;
	my ($entry) = $r->{bodies}{snapshot} =~ /(\{\s*"keyid": "\w+",\s*"sig": "\w+"\s*\})/ or die;
	$r->edit(snapshot => sub { s/("signatures": \[)/$1 $entry,/ or die });
	$r->refresh(1);
	$r->trusts('root 1, timestamp 1');
};

case 'one public key under two key ids counts once' => sub {
	my $r = shift;
	my $k = key('ecdsa', 53);
	$r->drop_keys('timestamp');
	$r->add_key('timestamp', $k);
	$r->add_key('timestamp', key('ecdsa', 53, { comment => 'the same again' }));
	$r->role('timestamp')->{threshold} = num(2);
	$r->publish(qw(root timestamp));
	$r->init;
	$r->refresh(1);
	$r->trusts('root 2');
	$r->add_key('timestamp', key('ecdsa', 54));
	$r->publish(qw(root timestamp));
	$r->refresh(0);
	$r->trusts('root 3, snapshot 1, targets 1, timestamp 3');
};

case 'one public key under the two names of its type counts once' => sub {
	my $r = shift;
	my $k = key('ecdsa', 53);
	my $old = { %$k, object => { %{ $k->{object} }, keytype => 'ecdsa-sha2-nistp256' } };
	$old->{id} = sha256_hex(canonical($old->{object}));
	$r->drop_keys('timestamp');
	$r->add_key('timestamp', $_) for $k, $old;
	$r->role('timestamp')->{threshold} = num(2);
	$r->publish(qw(root timestamp));
	$r->init;
	$r->refresh(1);
	$r->trusts('root 2');
};

# ---- signatures that do not count ----

case 'a wrong or empty signature beside a right one does no harm' => sub {
	my $r = shift;
	$r->init;
	my ($first) = @{ $r->{signers}{timestamp} };
	my ($old) = $r->{bodies}{timestamp} =~ /"sig": "(\w+)"/ or die;
	$r->add_key('timestamp');
	$r->publish(qw(root timestamp));
	$r->edit(timestamp => sub { s/("keyid": "$first->{id}",\s*"sig": ")\w+/$1$old/ or die });
	$r->refresh(0);
	$r->publish('timestamp');
	$r->edit(timestamp => sub { s/("keyid": "$first->{id}",\s*"sig": ")\w+/$1/ or die });
	$r->refresh(0);
	$r->trusts('root 2, snapshot 1, targets 1, timestamp 3');
};

for (['no hex', 'not hex at all'], ['an odd number of digits', 'abc'], ['too long', 'ab' x 3000], ['of zeros', '00' x 64],
	['with a NUL', '\u0000'], ['in base64', 'MEUCIQ==']) {
	my ($what, $sig) = @$_;
	case "a signature that is $what: alone no signature, beside another no harm" => sub {
		my $r = shift;
		$r->init;
		my ($first) = @{ $r->{signers}{timestamp} };
		$r->add_key('timestamp');
		$r->publish(qw(root timestamp));
		my $broken = sub { s/("keyid": "$first->{id}",\s*"sig": ")\w+/$1$sig/ or die };
		$r->edit(timestamp => $broken);
		$r->refresh(0);
		pop @{ $r->{signers}{timestamp} };
		$r->publish('timestamp');
		$r->edit(timestamp => $broken);
		$r->refresh(1);
		$r->trusts('root 2, snapshot 1, targets 1, timestamp 2');
	};
}

# ---- rotation of root: [keys, threshold, signers], ... and whether the last one is accepted (5.3.4) ----

my @root_chains = (
	['one key for another, signed by both', 1, [[1], 1, [1]], [[2], 1, [2, 1]], [[2], 1, [2]]],
	['signatures of strangers do no harm', 1, [[1], 1, [3, 1, 4]], [[2], 1, [3, 2, 1, 4]], [[2], 1, [3, 2, 4]]],
	['three of five, other three each time', 1, [[0 .. 4], 3, [0, 2, 4]], [[0 .. 4], 3, [0, 4, 1]],
		[[0 .. 4], 3, [0, 1, 3]], [[0 .. 4], 3, [0, 1, 3]]],
	['three of five, one key replaced', 1, [[0 .. 4], 3, [0, 2, 4]], [[0, 1, 3, 4, 5], 3, [0, 4, 1]]],
	['three of five, one key replaced by way of four signatures', 1, [[0 .. 4], 3, [0, 2, 4]],
		[[0, 1, 3, 4, 5], 3, [0, 2, 4, 5]], [[0, 1, 3, 4, 5], 3, [0, 4, 5]]],
	['three of five, all replaced by way of six signatures', 1, [[0 .. 4], 3, [0, 2, 4]],
		[[5 .. 9], 3, [0, 2, 4, 5, 6, 7]], [[5 .. 9], 3, [5, 6, 7]]],
	['the threshold goes up', 1, [[1, 2, 3], 1, [1]], [[1, 2, 3], 2, [1, 2]]],
	['the threshold goes down', 1, [[1, 2, 3], 2, [1, 2]], [[1, 2, 3], 1, [1, 2]], [[1, 2, 3], 1, [1]]],
	['a second key, both needed', 1, [[1], 1, [1]], [[1, 2], 2, [1, 2]]],
	['the old key did not sign', 0, [[1], 1, [1]], [[2], 1, [2, 3, 4]]],
	['the new key did not sign', 0, [[1], 1, [1]], [[2], 1, [1, 3, 4]]],
	['three of five, not three of the new keys', 0, [[0 .. 4], 3, [0, 2, 4]], [[0, 1, 3, 4, 5], 3, [0, 2, 4]]],
	['three of five, not three of the old keys', 0, [[0 .. 4], 3, [0, 2, 4]], [[0, 1, 3, 4, 5], 3, [0, 4, 5]]],
	['the new threshold is not reached', 0, [[1, 2, 3], 1, [1]], [[1, 2, 3], 2, [2]]],
	['the old threshold is not reached', 0, [[1, 2, 3], 2, [1, 2]], [[1, 2, 3], 1, [1]]],
);

for (@root_chains) {
	my ($what, $fine, @chain) = @$_;
	for my $kind (qw(ecdsa ed25519)) {
		case "root rotation with $kind keys: $what (5.3.4)" => sub {
			my $r = shift;
			my @keys = map { key($kind, 20 + $_) } 0 .. 9;
			$r->withdraw('root');
			$r->doc('root')->{version} = num(0);
			for my $step (@chain) {
				my ($listed, $threshold, $signers) = @$step;
				$r->drop_keys('root');
				$r->list_key('root', $keys[$_]) for @$listed;
				$r->{signers}{root} = [@keys[@$signers]];
				$r->role('root')->{threshold} = num($threshold);
				$r->publish('root');
			}
			$r->init(0);
			$r->refresh($fine ? 0 : 1);
			my $last = $r->version('root') - ($fine ? 0 : 1);
			$r->trusts("root $last" . ($fine ? ', snapshot 1, targets 1, timestamp 1' : ''));
			check(slurp("$r->{m}/root.json") eq $r->{files}{"$last.root.json"}, 'not the bytes of that root');
		};
	}
}

# ---- rotation of the other roles ----

my @role_cases = (
	['one key for another', 1, [2], 1, [2]],
	['signatures of strangers', 1, [1], 1, [3, 1, 4]],
	['not signed by the new key', 0, [2], 1, [1, 3, 4]],
	['three of five, one signer is not listed', 0, [0, 1, 3, 4, 5], 3, [0, 2, 4]],
	['three of five, two signed', 0, [0, 1, 3, 4, 5], 3, [0, 4]],
	(map { ['three of five: ' . join(' ', @$_), 1, [0 .. 4], 3, $_] } [0, 2, 4], [0, 4, 1], [0, 1, 3], [1, 2, 3], [2, 3, 4]),
);

for (@role_cases) {
	my ($what, $fine, $listed, $threshold, $signers) = @$_;
	case "timestamp, snapshot and targets keys change: $what (6.1)" => sub {
		my $r = shift;
		my @keys = map { key('ecdsa', 20 + $_) } 0 .. 9;
		$r->init;
		for my $role (qw(timestamp snapshot targets)) {
			my @before = ($r->role($role)->{keyids}, $r->role($role)->{threshold}, $r->{signers}{$role});
			$r->drop_keys($role);
			$r->list_key($role, $keys[$_]) for @$listed;
			$r->{signers}{$role} = [@keys[@$signers]];
			$r->role($role)->{threshold} = num($threshold);
			$r->publish(qw(root targets snapshot timestamp));
			$r->refresh($fine ? 0 : 1);
			if ($fine) {
				check(slurp("$r->{m}/$role.json") eq $r->{bodies}{$role}, "$role is not up to date");
				next;
			}
			check((slurp("$r->{m}/$role.json") // '') ne $r->{bodies}{$role}, "$role was taken");
			(@{ $r->role($role) }{qw(keyids threshold)}, $r->{signers}{$role}) = @before;
		}
	};
}

case 'a role keeps its cached file when only its threshold changes and still holds' => sub {
	my $r = shift;
	$r->add_key('targets');
	$r->publish(qw(root targets snapshot timestamp));
	$r->init;
	$r->refresh(0);
	$r->role('targets')->{threshold} = num(2);
	$r->publish('root');
	$r->refresh(0);
	$r->asked('3.root.json 4.root.json timestamp.json');
};

case 'a cached file that its new keys have not signed is not used (5.6.3)' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	$r->rotate('targets');
	$r->publish('root');
	$r->refresh(1);
	$r->publish(qw(targets snapshot timestamp));
	$r->refresh(0);
	$r->trusts('root 2, snapshot 2, targets 2, timestamp 2');
};

run_cases;

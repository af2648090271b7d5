# tuf-client and time: rollback, roles that vanish, recovery by rotated keys, expiry of what is served and of what is stored
# (specification 5.3.10, 5.3.11, 5.4.3, 5.4.4, 5.5.5, 5.5.6, 5.6.5).
use strict;
use warnings;

use Rig;

# ---- rollback ----

case 'a timestamp does not go back (5.4.3.1)' => sub {
	my $r = shift;
	my $old = $r->{files}{'timestamp.json'};
	$r->init;
	$r->publish('timestamp');
	$r->refresh(0);
	$r->{files}{'timestamp.json'} = $old;
	$r->refresh(1);
	$r->asked_last('timestamp.json');
	$r->trusts('root 1, snapshot 1, targets 1, timestamp 2');
};

for my $hashes (0, 1) {
	my $with = $hashes ? 'with hashes' : 'without hashes';
	case "the snapshot that a timestamp names does not go back, $with (5.4.3.2)" => sub {
		my $r = shift;
		$r->{hashes} = $hashes;
		$r->init;
		$r->publish(qw(snapshot timestamp));
		$r->refresh(0);
		$r->{set}{snapshot} = 1;
		$r->publish(qw(snapshot timestamp));
		$r->refresh(1);
		$r->asked_last('timestamp.json');
		$r->trusts('root 1, snapshot 2, targets 1, timestamp 2');
	};
	case "the targets that a snapshot lists do not go back, $with (5.5.5)" => sub {
		my $r = shift;
		$r->{hashes} = $hashes;
		$r->init;
		$r->publish(qw(targets snapshot timestamp));
		$r->refresh(0);
		$r->{set}{targets} = 1;
		$r->publish(qw(targets snapshot timestamp));
		$r->refresh(1);
		$r->asked_last('3.snapshot.json');
		$r->trusts('root 1, snapshot 2, targets 2, timestamp 3');
	};
	case "a delegated role that a snapshot lists does not go back, $with (5.5.5)" => sub {
		my $r = shift;
		$r->{hashes} = $hashes;
		$r->delegate('targets', 'a');
		$r->artifact('a', 'x', 'content');
		$r->{set}{a} = 5;
		$r->publish(qw(a targets snapshot timestamp));
		$r->init;
		$r->download(0, 'x');
		$r->{set}{a} = 4;
		$r->publish(qw(a snapshot timestamp));
		$r->download(1, 'x');
		$r->trusts('a 5, root 1, snapshot 2, targets 2, timestamp 3');
	};
}

case 'a snapshot of another version than the timestamp names is refused (5.5.4)' => sub {
	my $r = shift;
	$r->doc('snapshot')->{version} = num(2);
	$r->{files}{'1.snapshot.json'} = $r->sign('snapshot');
	$r->init;
	$r->refresh(1);
	$r->asked_last('1.snapshot.json');
	$r->trusts('root 1, timestamp 1');
};

case 'a role does not vanish from the snapshot (5.5.5)' => sub {
	my $r = shift;
	$r->delegate('targets', 'delegated', paths => ['delegatedpath/*']);
	$r->publish(qw(delegated targets snapshot timestamp));
	$r->init;
	$r->refresh(0);
	delete $r->doc('snapshot')->{meta}{'delegated.json'};
	$r->publish(qw(snapshot timestamp));
	$r->refresh(1);
	$r->trusts('root 1, snapshot 2, targets 2, timestamp 3');
};

case 'a root does not go back, and the same root once more is no successor (5.3.5)' => sub {
	my $r = shift;
	$r->publish('root');
	$r->init;
	$r->refresh(0);
	$r->{files}{'3.root.json'} = $r->{files}{'2.root.json'};
	$r->refresh(1);
	$r->{files}{'3.root.json'} = $r->{files}{'1.root.json'};
	$r->refresh(1);
	$r->trusts('root 2, snapshot 1, targets 1, timestamp 1');
};

case 'a root that skips a version is refused (5.3.5)' => sub {
	my $r = shift;
	$r->init;
	$r->{set}{root} = 3;
	$r->publish('root');
	$r->{files}{'2.root.json'} = $r->{files}{'3.root.json'};
	$r->refresh(1);
	$r->trusts('root 1');
};

case 'a server that forgets newer roots does not take the client back (5.3)' => sub {
	my $r = shift;
	$r->publish('root') for 1 .. 3;
	$r->init;
	$r->refresh(0);
	delete $r->{files}{"$_.root.json"} for 2 .. 4;
	$r->refresh(0);
	$r->asked('5.root.json timestamp.json');
	$r->trusts('root 4, snapshot 1, targets 1, timestamp 1');
};

case 'an older root given to init again does not take the client back' => sub {
	my $r = shift;
	$r->publish('root') for 1 .. 2;
	$r->init;
	$r->refresh(0);
	$r->init;
	$r->refresh(0);
	$r->trusts('root 3, snapshot 1, targets 1, timestamp 1');
};

# ---- recovery from a fast-forward attack (5.3.11) ----

case 'targets far ahead come back after new snapshot keys, roles may go with them' => sub {
	my $r = shift;
	$r->delegate('targets', 'delegated', paths => ['delegatedpath/*']);
	$r->{set}{targets} = 100;
	$r->publish(qw(delegated targets snapshot timestamp));
	$r->init;
	$r->refresh(0);
	$r->trusts('root 1, snapshot 2, targets 100, timestamp 2');
	$r->rotate('snapshot');
	$r->{set}{targets} = 1;
	delete $r->doc('snapshot')->{meta}{'delegated.json'};
	delete $r->doc('targets')->{delegations};
	$r->publish(qw(root targets snapshot timestamp));
	$r->refresh(0);
	$r->trusts('root 2, snapshot 3, targets 1, timestamp 3');
};

case 'a snapshot far ahead comes back after new snapshot and timestamp keys' => sub {
	my $r = shift;
	$r->init;
	$r->{set}{snapshot} = 100;
	$r->publish(qw(snapshot timestamp));
	$r->refresh(0);
	$r->rotate($_) for qw(snapshot timestamp);
	$r->{set}{snapshot} = 1;
	$r->publish(qw(root targets snapshot timestamp));
	$r->refresh(0);
	$r->trusts('root 2, snapshot 1, targets 2, timestamp 3');
};

case 'a timestamp far ahead comes back after new timestamp keys' => sub {
	my $r = shift;
	$r->init;
	$r->{set}{timestamp} = 9007199254740991;
	$r->publish('timestamp');
	$r->refresh(0);
	$r->trusts('root 1, snapshot 1, targets 1, timestamp 9007199254740991');
	$r->rotate('timestamp');
	$r->{set}{timestamp} = 1;
	$r->publish(qw(root timestamp));
	$r->refresh(0);
	$r->trusts('root 2, snapshot 1, targets 1, timestamp 1');
};

case 'two rotations in one refresh recover as one does' => sub {
	my $r = shift;
	$r->init;
	$r->{set}{timestamp} = 100;
	$r->publish('timestamp');
	$r->refresh(0);
	my ($old) = @{ $r->{signers}{timestamp} };
	$r->rotate('timestamp');
	$r->publish('root');
	$r->drop_keys('timestamp');
	$r->add_key('timestamp', $old);
	$r->publish('root');
	$r->{set}{timestamp} = 1;
	$r->publish('timestamp');
	$r->refresh(0);
	$r->trusts('root 3, snapshot 1, targets 1, timestamp 1');
};

case 'without new keys nothing comes back, whatever root says (5.4.3.1)' => sub {
	my $r = shift;
	$r->init;
	$r->{set}{timestamp} = 100;
	$r->publish('timestamp');
	$r->refresh(0);
	$r->role('targets')->{note} = 'a new root, the same online keys';
	$r->{set}{timestamp} = 1;
	$r->publish(qw(root timestamp));
	$r->refresh(1);
	$r->trusts('root 2, snapshot 1, targets 1, timestamp 100');
};

case 'a recovery that fails half-way does not leave the old files in force' => sub {
	my $r = shift;
	$r->init;
	$r->{set}{timestamp} = 100;
	$r->publish('timestamp');
	$r->refresh(0);
	$r->rotate('timestamp');
	$r->{set}{timestamp} = 1;
	$r->publish('root');
	$r->{answer}{'timestamp.json'} = 'silent';
	$r->refresh(1);
	delete $r->{answer}{'timestamp.json'};
	$r->publish('timestamp');
	$r->refresh(0);
	$r->trusts('root 2, snapshot 1, targets 1, timestamp 1');
};

case 'a recovery of the snapshot that fails half-way is completed by the next refresh' => sub {
	my $r = shift;
	$r->init;
	$r->{set}{snapshot} = 100;
	$r->publish(qw(snapshot timestamp));
	$r->refresh(0);
	$r->rotate('snapshot');
	$r->publish('root');
	$r->{answer}{'timestamp.json'} = 503;
	$r->refresh(1);
	$r->trusts('root 2, targets 1');
	delete $r->{answer}{'timestamp.json'};
	$r->{set}{snapshot} = 1;
	$r->publish(qw(snapshot timestamp));
	$r->refresh(0);
	$r->trusts('root 2, snapshot 1, targets 1, timestamp 3');
};

# ---- expiry of what is served ----

case 'an expired root is stored and ends the refresh (5.3.8, 5.3.10)' => sub {
	my $r = shift;
	$r->init;
	$r->refresh(0);
	$r->publish('root');
	$r->refresh(0);
	$r->root->{expires} = utc(-1);
	$r->publish(qw(root targets snapshot timestamp));
	$r->refresh(1);
	$r->asked('3.root.json 4.root.json');
	$r->trusts('root 3, snapshot 1, targets 1, timestamp 1');
};

for (['timestamp', 'snapshot 1, targets 1, timestamp 1'], ['snapshot', 'snapshot 1, targets 1, timestamp 2'],
	['targets', 'snapshot 2, targets 1, timestamp 2']) {
	my ($role, $kept) = @$_;
	case "an expired $role is refused, what came before it is kept (5.4.4, 5.5.6, 5.6.5)" => sub {
		my $r = shift;
		$r->init;
		$r->refresh(0);
		$r->doc($role)->{expires} = utc(-5);
		$r->publish(qw(targets snapshot timestamp));
		$r->refresh(1);
		$r->trusts("root 1, $kept");
	};
	case "an expired $role is refused by a client that has seen nothing yet" => sub {
		my $r = shift;
		$r->doc($role)->{expires} = utc(-5);
		$r->publish(qw(targets snapshot timestamp));
		$r->init;
		$r->refresh(1);
		my %trusts = (timestamp => 'root 1', snapshot => 'root 1, timestamp 2', targets => 'root 1, snapshot 2, timestamp 2');
		$r->trusts($trusts{$role});
	};
}

# ---- expiry of what is stored ----

case 'an expired stored root leads to its successor (5.3.10)' => sub {
	my $r = shift;
	$r->init;
	$r->root->{expires} = utc(7);
	$r->publish('root');
	$r->refresh(0);
	$r->root->{expires} = utc(21);
	$r->publish('root');
	$r->refresh(0, at => 18);
	$r->trusts('root 3, snapshot 1, targets 1, timestamp 1');
};

for my $role (qw(timestamp snapshot targets)) {
	case "an expired stored $role is replaced by the server's" => sub {
		my $r = shift;
		$r->init;
		$r->doc($role)->{expires} = utc(7);
		$r->publish(qw(targets snapshot timestamp));
		$r->refresh(0);
		$r->refresh(1, at => 18);
		$r->doc($role)->{expires} = utc(21);
		$r->publish(qw(targets snapshot timestamp));
		$r->refresh(0, at => 18);
		$r->trusts('root 1, snapshot 3, targets 3, timestamp 3');
	};
	case "a stored $role that has expired is not good for one more refresh" => sub {
		my $r = shift;
		$r->init;
		$r->doc($role)->{expires} = utc(7);
		$r->publish(qw(targets snapshot timestamp));
		$r->refresh(0);
		$r->refresh(1, at => 8);
		$r->refresh(0, at => 6);
	};
	case "an expired stored $role still guards against rollback" => sub {
		my $r = shift;
		$r->init;
		$r->doc($role)->{expires} = utc(7);
		$r->{set}{$role} = 5;
		$r->publish(qw(targets snapshot timestamp));
		$r->refresh(0);
		$r->doc($role)->{expires} = utc(21);
		$r->{set}{$role} = 4;
		$r->publish(qw(targets snapshot timestamp));
		$r->refresh(1, at => 18);
	};
}

case 'the second of the expiry is expired, the one before is not' => sub {
	my $r = shift;
	$r->init;
	$r->doc('timestamp')->{expires} = utc(7);
	$r->publish('timestamp');
	$r->refresh(0, at => 7 - 60 / 86400);
	$r->refresh(1, at => 7);
};

# ---- delegated roles expire as others do (5.6.5) ----

case 'a delegated role that is expired when it is first seen is not used' => sub {
	my $r = shift;
	$r->delegate('targets', 'delegated', paths => ['delegatedpath/*']);
	$r->artifact('delegated', 'delegatedpath/target', 'delegated content');
	$r->doc('delegated')->{expires} = utc(-1);
	$r->publish(qw(delegated targets snapshot timestamp));
	$r->init;
	$r->refresh(0);
	$r->download(1, 'delegatedpath/target');
	$r->holds;
	$r->trusts('root 1, snapshot 2, targets 2, timestamp 2');
};

case 'a stored delegated role is not used once it has expired, and is replaced when there is a newer one' => sub {
	my $r = shift;
	$r->delegate('targets', 'delegated', paths => ['delegatedpath/*']);
	$r->artifact('delegated', "delegatedpath/$_", $_) for qw(first second);
	$r->doc('delegated')->{expires} = utc(7);
	$r->publish(qw(delegated targets snapshot timestamp));
	$r->init;
	$r->download(0, 'delegatedpath/first');
	$r->holds('first');
	$r->download(1, 'delegatedpath/second', at => 18);
	$r->holds('first');
	$r->doc('delegated')->{expires} = utc(21);
	$r->publish(qw(delegated snapshot timestamp));
	$r->download(0, 'delegatedpath/second', at => 18);
	$r->holds('first', 'second');
};

# ---- what a client remembers of an earlier run ----

case 'a target that was found before is not found once a role on the way to it has expired' => sub {
	my $r = shift;
	$r->delegate('targets', 'A');
	$r->delegate('A', 'B');
	$r->artifact('B', 'x', 'contents');
	$r->doc('A')->{expires} = utc(7);
	$r->publish(qw(A B targets snapshot timestamp));
	$r->init;
	$r->download(0, 'x') for 1 .. 2;
	$r->asked('2.root.json timestamp.json');
	$r->download(1, 'x', at => 8);
	$r->download(0, 'x', at => 6);
};

case 'a target that was found before is not found once its role has other keys' => sub {
	my $r = shift;
	$r->artifact('targets', 'x', 'contents');
	$r->publish(qw(targets snapshot timestamp));
	$r->init;
	$r->download(0, 'x') for 1 .. 2;
	$r->rotate('targets');
	$r->publish('root');
	$r->download(1, 'x') for 1 .. 2;
	$r->publish(qw(targets snapshot timestamp));
	$r->download(0, 'x');
};

case 'a target that was found before is found anew when its role has a new version' => sub {
	my $r = shift;
	$r->delegate('targets', 'A');
	$r->artifact('A', 'x', 'contents');
	$r->publish(qw(A targets snapshot timestamp));
	$r->init;
	$r->download(0, 'x') for 1 .. 2;
	$r->artifact('A', 'x', 'other contents');
	$r->publish(qw(A snapshot timestamp));
	$r->download(0, 'x');
	$r->holds('other contents');
	delete $r->doc('A')->{targets}{x};
	$r->publish(qw(A snapshot timestamp));
	$r->download(1, 'x') for 1 .. 2;
};

run_cases;

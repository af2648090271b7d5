# tuf-client and delegations: order of the search, terminating roles, cycles, patterns, hash prefixes, bins, names, keys of
# each delegator (specification 4.5, 5.6.7, TAP 15).
use strict;
use warnings;

use Rig;

my @top = ('2.root.json', 'timestamp.json', '2.snapshot.json', '2.targets.json');

# Delegations as [delegator, role, how...]; publishes every role at version 1.
sub graph {
	my ($r, @edges) = @_;
	my %roles;
	for (@edges) {
		my ($delegator, $role, %how) = @$_;
		$r->delegate($delegator, $role, %how);
		$roles{$role} = 1;
	}
	return sort keys %roles;
}

sub published {
	my ($r, @roles) = @_;
	$r->publish(@roles, qw(targets snapshot timestamp));
	$r->init;
}

sub asks_for_roles {
	my ($r, @roles) = @_;
	$r->asked(join ' ', @top, map { '1.' . Rig::quoted($_) . '.json' } @roles);
}

# ---- the order of the search: name, edges, the roles that are asked for ----

my @graphs = (
	['one role', [['targets', 'A']], 'A'],
	['two roles', [['targets', 'A'], ['targets', 'B']], 'A B'],
	['two levels', [['targets', 'A'], ['targets', 'B'], ['B', 'C']], 'A B C'],
	['depth first', [['targets', 'A'], ['targets', 'B'], ['A', 'C'], ['A', 'D']], 'A C D B'],
	['three levels deep first', [['targets', 'A'], ['targets', 'B'], ['A', 'C'], ['C', 'D']], 'A C D B'],
	['a terminating role ends all but its own', [['targets', 'A'], ['targets', 'B'], ['A', 'C', terminating => 1],
		['A', 'D']], 'A C'],
	['a terminating role goes on below itself', [['targets', 'A'], ['targets', 'B'], ['A', 'C', terminating => 1],
		['C', 'D']], 'A C D'],
	['a terminating role that does not cover the path ends nothing', [['targets', 'A', terminating => 1, paths => ['*.py']],
		['targets', 'B']], 'B'],
	['terminating at the top', [['targets', 'A', terminating => 1], ['targets', 'B'], ['A', 'C']], 'A C'],
	['a branch that does not cover the path', [['targets', 'A', paths => ['*.py']], ['targets', 'B'], ['A', 'C']], 'B'],
	['a branch below that does not cover it', [['targets', 'A'], ['targets', 'B'], ['A', 'C', paths => ['*.py']],
		['C', 'D']], 'A B'],
	['a cycle', [['targets', 'A'], ['targets', 'B'], ['B', 'C'], ['C', 'D'], ['D', 'B']], 'A B C D'],
	['a role that delegates to itself', [['targets', 'A'], ['A', 'A']], 'A'],
	['two roles delegate to a third', [['targets', 'A'], ['targets', 'B'], ['B', 'C'], ['A', 'C']], 'A C B'],
	['two roles delegate to a third, other paths', [['targets', 'A'], ['targets', 'B'], ['B', 'C'],
		['A', 'C', paths => ['*.py']]], 'A B C'],
	['the order of the list, not of the names', [['targets', 'Z'], ['targets', 'M'], ['targets', 'A']], 'Z M A'],
	['one of several paths covers it', [['targets', 'A', paths => ['x', 'y/*', 'missing*']]], 'A'],
	['no paths at all', [['targets', 'A', paths => []], ['targets', 'B']], 'B'],
	['a diamond is visited once', [['targets', 'A'], ['targets', 'B'], ['A', 'D'], ['B', 'D'], ['D', 'E']], 'A D E B'],
);

for (@graphs) {
	my ($what, $edges, $order) = @$_;
	case "the search visits roles in order: $what (5.6.7)" => sub {
		my $r = shift;
		published($r, graph($r, @$edges));
		$r->download(1, 'missingpath');
		asks_for_roles($r, split / /, $order);
		$r->holds;
		# All of it is stored now.
		$r->download(1, 'missingpath');
		$r->asked('2.root.json timestamp.json');
	};
}

# ---- patterns: pattern, path, whether it covers it (4.5) ----

my @patterns = (
	['*', 'file', 1], ['*', 'dir/file', 0], ['dir/*', 'dir/file', 1], ['dir/*', 'dir/sub/file', 0], ['*/*', 'dir/file', 1],
	['*.tgz', 'foo.tgz', 1], ['*.tgz', 'foo.txt', 0], ['*.tgz', 'dir/foo.tgz', 0], ['foo-version-?.tgz', 'foo-version-2.tgz', 1],
	['foo-version-?.tgz', 'foo-version-alpha.tgz', 0], ['foo-version-?.tgz', 'foo-version-.tgz', 0], ['a?b', 'a/b', 0],
	['targets/*.tgz', 'targets/foo.tgz', 1], ['targets/*.tgz', 'targets/foo.txt', 0], ['*/foo', 'dir/foo', 1],
	['*/foo', 'foo', 0], ['file', 'file', 1], ['file', 'File', 0], ['fil', 'file', 0], ['dir', 'dir/file', 0],
	['dir/', 'dir/file', 0], ['a*b*c', 'aXbYbZc', 1], ['a*b*c', 'aXbYbZ', 0], ['**', 'file', 1], ['**', 'dir/file', 0],
	['**/file', 'a/b/file', 0], ['[ab]', 'a', 0], ['[ab]', '[ab]', 1], ['\\*', '\\x', 1], ['*.*', 'plain', 0],
	['caf?', "caf\xc3\xa9", 1], ['caf??', "caf\xc3\xa9", 0], ['releases/x/*', 'releases/x/x_v1', 1],
	['releases/y/*.zip', 'releases/z/z_v1.zip', 0], ['', 'file', 0],
);

case 'patterns cover what the specification says, and * and ? never cross a slash (4.5)' => sub {
	my $r = shift;
	for my $i (0 .. $#patterns) {
		my ($pattern, $path) = @{ $patterns[$i] };
		my $s = Rig->new;
		$s->delegate('targets', 'A', paths => [$pattern], key => key('ecdsa', 30));
		published($s, 'A');
		$s->download(1, $path);
		my $visited = grep { $_ eq '1.A.json' } @{ $s->{log} };
		check($visited == $patterns[$i][2], "'$pattern' and '$path': " . ($visited ? 'covers' : 'does not cover'));
	}
};

my @tree = (['targets', 'A', paths => ['*.doc', '*.md']], ['targets', 'B', paths => ['releases/*/*']],
	['B', 'C', paths => ['releases/x/*']], ['B', 'D', paths => ['releases/y/*.zip']]);
my @contents = (['targets', 'targetfile', 'targetfile content'], ['A', 'README.md', 'README by A'],
	['C', 'releases/x/x_v1', 'x release by C'], ['D', 'releases/y/y_v1.zip', 'y release by D'],
	['D', 'releases/z/z_v1.zip', 'z release by D'], ['A', 'releases/x/x_v2', 'x release by A']);

for (['targetfile', ''], ['README.md', 'A'], ['releases/x/x_v1', 'B C'], ['releases/y/y_v1.zip', 'B D'],
	['releases/z/z_v1.zip', 'B', 'is not delegated all the way'], ['releases/x/x_v2', 'B C', 'is listed by a role without a say']) {
	my ($path, $order, $why) = @$_;
	case "a target in a tree of roles: $path " . ($why // 'is found') . ' (5.6.7)' => sub {
		my $r = shift;
		my @roles = graph($r, @tree);
		my %content = map { $_->[1] => $_->[2] } @contents;
		$r->artifact(@$_) for @contents;
		published($r, @roles);
		$r->download($why ? 1 : 0, $path);
		$r->asked(join ' ', @top, (map { "1.$_.json" } split / /, $order),
			$why ? () : 'targets/' . ($path =~ m{^(.*/)?(.*)$} ? ($1 // '') . sha256_hex($content{$path}) . ".$2" : ''));
		$r->holds($why ? () : $content{$path});
	};
}

# ---- names of roles ----

for ('?', '#', '/delegatedrole', '../delegatedrole', '.', '..', 'a b', 'a%2Fb', "r\xc3\xb4le", 'root.json', '1.root', 'a+b',
	'role~_-.9', '%', '\\', '"', 'a' x 255, '/' x 80, 'next', 'commit', 'lock', 'anchor', 'CON') {
	my $name = $_;
	my $shown = length $name > 40 ? substr($name, 0, 40) . '...' : $name;
	case "a role called '$shown' is asked for percent-encoded, and stored directly in the directory" => sub {
		my $r = shift;
		$r->delegate('targets', $name);
		$r->artifact($name, 'x', "by $name");
		published($r, $name);
		$r->download(1, 'nonexistent target');
		asks_for_roles($r, $name);
		my @json = grep { /\.json$/ } ls($r->{m});
		check(@json == 5, "five files, not @json");
		$r->trusts(join ', ', sort "$name 1", 'root 1', 'snapshot 2', 'targets 2', 'timestamp 2');
		check(set_of(ls($r->{dir})) eq 'd err m out trusted.json', 'a file outside: ' . set_of(ls($r->{dir})));
		$r->download(0, 'x');
		$r->asked('2.root.json timestamp.json targets/' . sha256_hex("by $name") . '.x');
	};
}

for ('', 'root', 'targets', 'snapshot', 'timestamp', "a\nb", "a\x00b", "\x7f", 'a' x 256) {
	my $name = $_;
	(my $shown = length $name > 40 ? substr($name, 0, 40) . '...' : $name) =~ s/[^ -~]/?/g;
	case "a role called '$shown' is refused with the file that lists it" => sub {
		my $r = shift;
		my $k = $r->new_key;
		$r->doc('targets')->{delegations} = { keys => { $k->{id} => $k->{object} }, roles => [{ name => $name,
			keyids => [$k->{id}], threshold => num(1), terminating => \'false', paths => ['*'] }] };
		published($r);
		$r->refresh(1);
		$r->trusts('root 1, snapshot 2, timestamp 2');
	};
}

# ---- keys of delegators ----

case 'a role reached by two delegators with different keys must be signed as each asks' => sub {
	my $r = shift;
	$r->delegate('targets', 'A', paths => ['a/*']);
	$r->delegate('targets', 'B', paths => ['b/*']);
	my $a = $r->delegate('A', 'C', paths => ['a/*']);
	my $b = $r->delegate('B', 'C', paths => ['b/*']);
	$r->artifact('C', "$_/x", "$_ by C") for qw(a b);
	published($r, qw(A B C));
	$r->download(0, ['a/x', 'b/x']);
	$r->holds('a by C', 'b by C');
	# Now only the one of A.
	$r->{signers}{C} = [$a];
	$r->publish(qw(C snapshot timestamp));
	$r->download(0, 'a/x');
	$r->download(1, 'b/x');
	$r->download(1, ['a/x', 'b/x']);
	# And only the one of B, though a client has the file in its store.
	$r->{signers}{C} = [$b];
	$r->publish(qw(C snapshot timestamp));
	$r->download(0, 'b/x');
	$r->download(1, 'a/x');
};

case 'a cached role is verified by the keys of the delegator by which it is reached' => sub {
	my $r = shift;
	$r->delegate('targets', 'A', paths => ['a/*']);
	my $k = $r->delegate('A', 'C', paths => ['a/*']);
	$r->artifact('C', 'a/x', 'by C');
	published($r, qw(A C));
	$r->download(0, 'a/x');
	# A takes the key away and names another; C stays as it was.
	delete $r->doc('A')->{delegations};
	$r->delegate('A', 'C', paths => ['a/*'], silent => 1);
	$r->publish(qw(A snapshot timestamp));
	$r->artifact('C', 'a/y', 'not signed anew');
	unlink "$r->{d}/a%2Fx";
	$r->download(1, 'a/x');
	$r->holds;
};

for (['not signed', sub { $_[0]{signers}{A} = [] }], ['signed by a stranger', sub { $_[0]{signers}{A} = [$_[0]->new_key] }],
	['signed by the targets key', sub { $_[0]{signers}{A} = $_[0]{signers}{targets} }],
	['signed by one of two where two are needed', sub {
		my $r = shift;
		my $d = $r->doc('targets')->{delegations};
		my $k = $r->new_key;
		$d->{keys}{ $k->{id} } = $k->{object};
		push @{ $d->{roles}[0]{keyids} }, $k->{id};
		$d->{roles}[0]{threshold} = num(2);
	}], ['under a threshold beyond its keys', sub { $_[0]->doc('targets')->{delegations}{roles}[0]{threshold} = num(2) }],
	['under a key id that the delegator does not know', sub { $_[0]->doc('targets')->{delegations}{roles}[0]{keyids} = ['ab' x 32] }]) {
	my ($what, $how) = @$_;
	case "a delegated role $what is not used (5.6.3)" => sub {
		my $r = shift;
		$r->delegate('targets', 'A');
		$r->artifact('A', 'x', 'by A');
		$how->($r);
		published($r, 'A');
		$r->refresh(0);
		$r->download(1, 'x');
		$r->holds;
		$r->trusts('root 1, snapshot 2, targets 2, timestamp 2');
	};
}

for ('0', '-1', '"1"', 'true', '1.5', 'null') {
	my $t = $_;
	case "a delegation with a threshold of $t is refused (4.5)" => sub {
		my $r = shift;
		$r->delegate('targets', 'A');
		$r->doc('targets')->{delegations}{roles}[0]{threshold} = \$t;
		published($r, 'A');
		$r->refresh(1);
		$r->trusts('root 1, snapshot 2, timestamp 2');
	};
}

case 'a delegated role that the snapshot does not list ends the search (5.6.1)' => sub {
	my $r = shift;
	graph($r, ['targets', 'A'], ['targets', 'B']);
	$r->artifact('B', 'x', 'by B');
	$r->publish(qw(A B targets));
	delete $r->doc('snapshot')->{meta}{'A.json'};
	$r->publish(qw(snapshot timestamp));
	$r->init;
	$r->download(1, 'x');
	$r->holds;
};

case 'a delegated role that is withheld ends the search: no later role speaks in its place (5.6.7.1)' => sub {
	my $r = shift;
	graph($r, ['targets', 'A'], ['targets', 'B']);
	$r->artifact('A', 'x', 'by A');
	$r->artifact('B', 'x', 'by B');
	published($r, qw(A B));
	for my $answer (404, 403, 500, 'silent') {
		$r->{answer}{'1.A.json'} = $answer;
		$r->download(1, 'x');
		$r->holds;
		check(!grep({ $_ eq '1.B.json' } @{ $r->{log} }), 'B was asked');
	}
	$r->{answer} = {};
	$r->download(0, 'x');
	$r->holds('by A');
};

case 'the first role that lists a target has the last word (5.6.7)' => sub {
	my $r = shift;
	graph($r, ['targets', 'A'], ['targets', 'B'], ['A', 'C']);
	$r->artifact($_, 'x', "by $_") for qw(B C);
	published($r, qw(A B C));
	$r->download(0, 'x');
	$r->holds('by C');
	$r->artifact('targets', 'x', 'by targets');
	$r->publish(qw(targets snapshot timestamp));
	$r->download(0, 'x');
	$r->holds('by targets');
};

for (['of another version', sub { ${ $_[0]->doc('snapshot')->{meta}{'A.json'} }{version} = num(2);
		$_[0]->{files}{'2.A.json'} = $_[0]->{files}{'1.A.json'} }],
	['of another hash', sub { ${ $_[0]->doc('snapshot')->{meta}{'A.json'} }{hashes} = { sha256 => sha256_hex('') } }],
	['longer than it should be', sub { ${ $_[0]->doc('snapshot')->{meta}{'A.json'} }{length} = num(100) }],
	['shorter than it should be', sub { ${ $_[0]->doc('snapshot')->{meta}{'A.json'} }{length} = num(100000) }]) {
	my ($what, $how) = @$_;
	case "a delegated role $what is not used (5.6.2, 5.6.4)" => sub {
		my $r = shift;
		$r->delegate('targets', 'A');
		$r->artifact('A', 'x', 'by A');
		$r->publish(qw(A targets));
		$how->($r);
		$r->publish(qw(snapshot timestamp));
		$r->init;
		$r->download(1, 'x');
		$r->holds;
		$r->trusts('root 1, snapshot 2, targets 2, timestamp 2');
	};
}

case 'a delegated role without consistent snapshots' => sub {
	my $r = shift;
	$r->{consistent} = 0;
	$r->{prefix} = 0;
	$r->root->{consistent_snapshot} = \'false';
	graph($r, ['targets', '..'], ['targets', '.'], ['targets', 'a/b']);
	$r->artifact('a/b', 'x', 'by a/b');
	$r->publish(qw(root .. . a/b targets snapshot timestamp));
	$r->init;
	$r->download(0, 'x');
	$r->asked('2.root.json 3.root.json timestamp.json snapshot.json targets.json ...json ..json a%2Fb.json targets/x');
	$r->holds('by a/b');
};

# ---- hash prefixes and bins ----

case 'path_hash_prefixes are compared with the hex of the SHA-256 of the path (4.5)' => sub {
	my $r = shift;
	my $hex = sha256_hex('dir/file');
	my $k = key('ecdsa', 30);
	$r->delegate('targets', 'no', key => $k, prefixes => [substr($hex, 1, 2), 'ffffffffff']);
	$r->delegate('targets', 'one', key => $k, prefixes => ['0123456789', substr $hex, 0, 1]);
	$r->delegate('targets', 'odd', key => $k, prefixes => [substr $hex, 0, 7]);
	$r->delegate('targets', 'all', key => $k, prefixes => [$hex]);
	published($r, qw(no one odd all));
	$r->download(1, 'dir/file');
	asks_for_roles($r, (substr($hex, 1, 2) eq substr($hex, 0, 2) ? 'no' : ()), qw(one odd all));
};

for (['in capitals', ['AB']], ['that are empty', ['']], ['longer than a hash', ['0' x 65]], ['with other letters', ['xy']],
	['that are numbers', [num(12)]], ['that are a string', 'ab']) {
	my ($what, $prefixes) = @$_;
	case "path_hash_prefixes $what are refused (4.5)" => sub {
		my $r = shift;
		$r->delegate('targets', 'A', prefixes => $prefixes);
		published($r, 'A');
		$r->refresh(1);
		$r->trusts('root 1, snapshot 2, timestamp 2');
	};
}

for my $bits (1, 3, 4, 5, 8) {
	case "bins by $bits bits: one bin speaks for a path, by the leading bits of its SHA-256 (TAP 15)" => sub {
		my $r = shift;
		my @bins = $r->succinct('targets', $bits, 'bin');
		my @paths = map { "file-$_" } 1 .. 4;
		my %bin = map { $_ => $bins[hex(substr sha256_hex($_), 0, 4) >> (16 - $bits)] } @paths;
		$r->artifact($bin{$_}, $_, "content of $_") for @paths;
		published($r, @bins);
		for (@paths) {
			$r->download(0, $_);
			check(slurp("$r->{d}/$_") eq "content of $_", 'content');
		}
		$r->download(1, 'missing');
		my $of_missing = $bins[hex(substr sha256_hex('missing'), 0, 4) >> (16 - $bits)];
		my %seen = map { $_ => 1 } values %bin;
		$r->asked('2.root.json timestamp.json' . ($seen{$of_missing} ? '' : " 1.$of_missing.json"));
	};
}

case 'a bin does not speak for a path of another bin (TAP 15)' => sub {
	my $r = shift;
	my @bins = $r->succinct('targets', 2, 'bin');
	my $right = hex(substr sha256_hex('x'), 0, 1) >> 2;
	$r->artifact($bins[($right + 1) % 4], 'x', 'from the wrong bin');
	published($r, @bins);
	$r->download(1, 'x');
	asks_for_roles($r, $bins[$right]);
	$r->holds;
};

for (['bit_length 0', bit_length => num(0)], ['bit_length 33', bit_length => num(33)], ['bit_length as text', bit_length => '4'],
	['no name_prefix', name_prefix => undef], ['roles beside it', roles => []], ['threshold 0', threshold => num(0)]) {
	my ($what, $member, $value) = @$_;
	case "succinct_roles with $what are refused (TAP 15)" => sub {
		my $r = shift;
		my @bins = $r->succinct('targets', 1, 'bin');
		my $d = $r->doc('targets')->{delegations};
		if ($member eq 'roles') { $d->{roles} = $value }
		elsif (defined $value) { $d->{succinct_roles}{$member} = $value }
		else { delete $d->{succinct_roles}{$member} }
		published($r, @bins);
		$r->refresh(1);
		$r->trusts('root 1, snapshot 2, timestamp 2');
	};
}

# ---- the shape of delegations ----

for (['paths and path_hash_prefixes', sub { $_[0]{roles}[0]{path_hash_prefixes} = ['ab'] }],
	['neither paths nor path_hash_prefixes', sub { delete $_[0]{roles}[0]{paths} }],
	['no terminating', sub { delete $_[0]{roles}[0]{terminating} }],
	['terminating 0', sub { $_[0]{roles}[0]{terminating} = num(0) }],
	['one name twice', sub { push @{ $_[0]{roles} }, $_[0]{roles}[0] }],
	['no keyids', sub { delete $_[0]{roles}[0]{keyids} }], ['no keys', sub { delete $_[0]{keys} }],
	['no roles', sub { delete $_[0]{roles} }], ['roles as an object', sub { $_[0]{roles} = {} }],
	['a path that is a number', sub { $_[0]{roles}[0]{paths} = [num(1)] }],
	['a key id that is not that of its key', sub { my ($id) = keys %{ $_[0]{keys} }; $_[0]{keys}{ 'ab' x 32 } = $_[0]{keys}{$id} }]) {
	my ($what, $how) = @$_;
	case "delegations are read strictly: $what (4.5)" => sub {
		my $r = shift;
		$r->delegate('targets', 'A');
		$how->($r->doc('targets')->{delegations});
		published($r, 'A');
		$r->refresh(1);
		$r->trusts('root 1, snapshot 2, timestamp 2');
	};
}

# ---- limits ----

case 'at most 32 roles are visited for one target' => sub {
	my $r = shift;
	my $k = key('ecdsa', 30);
	my @roles = map { sprintf 'r%02d', $_ } 1 .. 33;
	$r->delegate('targets', $_, key => $k) for @roles;
	$r->artifact($roles[31], 'in-32', '32');
	$r->artifact($roles[32], 'in-33', '33');
	published($r, @roles);
	$r->download(0, 'in-32');
	$r->download(1, 'in-33');
	check($r->said =~ /32/, 'the limit is named');
	$r->holds('32');
};

case 'a chain of 40 delegations ends at 32' => sub {
	my $r = shift;
	my $k = key('ecdsa', 30);
	my @roles = map { "r$_" } 1 .. 40;
	$r->delegate($_ == 0 ? 'targets' : $roles[$_ - 1], $roles[$_], key => $k) for 0 .. 39;
	published($r, @roles);
	$r->download(1, 'x');
	check((grep { /^1\.r/ } @{ $r->{log} }) == 32, 'roles asked for: ' . grep { /^1\.r/ } @{ $r->{log} });
};

run_cases;

# tuf-client and artifacts: URLs, hashes, lengths, the cache, substitution, several in one process, what is left behind
# (specification 5.7).
use strict;
use warnings;

use Rig;

sub published {
	my ($r, @roles) = @_;
	$r->publish(@roles, qw(targets snapshot timestamp));
	$r->init;
}

my @quiet = ('2.root.json', 'timestamp.json');

case 'an artifact is fetched by hash and name, only when it is asked for (5.7)' => sub {
	my $r = shift;
	$r->artifact('targets', 'target_file.txt', 'target file contents');
	published($r);
	$r->refresh(0);
	$r->holds;
	$r->download(0, 'target_file.txt');
	$r->asked(join ' ', @quiet, 'targets/' . sha256_hex('target file contents') . '.target_file.txt');
	$r->holds('target file contents');
};

case 'in a directory the hash stands before the file name' => sub {
	my $r = shift;
	$r->artifact('targets', 'path/to/a/target_file.txt', 'contents');
	published($r);
	$r->download(0, 'path/to/a/target_file.txt');
	$r->asked_last('targets/path/to/a/' . sha256_hex('contents') . '.target_file.txt');
	$r->holds('contents');
};

for (['sha256'], ['sha512'], ['sha256', 'sha512'], ['sha256', 'blake3'], ['sha512', 'md5']) {
	my @hashes = @$_;
	case "hashes: @hashes" => sub {
		my $r = shift;
		$r->artifact('targets', 'file', 'contents', @hashes);
		published($r);
		$r->download(0, 'file');
		my %of = (sha256 => sha256_hex('contents'), sha512 => sha512_hex('contents'));
		check((grep { $_ eq "targets/$of{$hashes[0]}.file" || $_ eq "targets/" . ($of{ $hashes[-1] } // '') . '.file' }
			@{ $r->{log} }) == 1, "asked for @{ $r->{log} }");
		$r->holds('contents');
	};
}

for (['an unknown kind alone', ['unknown-hash']], ['no kind at all', []]) {
	my ($what, $hashes) = @$_;
	case "hashes of $what do not vouch for anything" => sub {
		my $r = shift;
		$r->artifact('targets', 'file', 'contents', 'sha512');
		my $h = $r->doc('targets')->{targets}{file}{hashes};
		$r->doc('targets')->{targets}{file}{hashes} = { map { $_ => $h->{sha512} } @$hashes };
		published($r);
		$r->download(1, 'file');
		$r->holds;
	};
}

case 'both hashes must hold where two are listed' => sub {
	my $r = shift;
	for my $wrong (qw(sha256 sha512)) {
		$r->artifact('targets', "wrong-$wrong", 'contents', qw(sha256 sha512));
		my $h = $r->doc('targets')->{targets}{"wrong-$wrong"}{hashes};
		$h->{$wrong} = $wrong eq 'sha256' ? sha256_hex('other') : sha512_hex('other');
		$r->serve_artifact("wrong-$wrong", 'contents', values %$h);
	}
	published($r);
	$r->download(1, "wrong-$_") for qw(sha256 sha512);
	$r->holds;
};

case 'a hash in capitals is the same hash, a broken one is refused' => sub {
	my $r = shift;
	$r->artifact('targets', 'file', 'contents');
	my $h = $r->doc('targets')->{targets}{file}{hashes};
	$h->{sha256} = substr $h->{sha256}, 2;
	published($r);
	$r->download(1, 'file');
	$r->holds;
};

# ---- the cache ----

case 'an artifact that is held is not fetched again, nor touched' => sub {
	my $r = shift;
	$r->artifact('targets', 'file', 'contents');
	published($r);
	$r->download(0, 'file');
	my ($path) = Rig::files_below($r->{d});
	utime 1000000000, 1000000000, $path;
	my @before = (stat $path)[1, 7, 9, 10];
	$r->download(0, 'file');
	$r->asked("@quiet");
	check("@before" eq join(' ', (stat $path)[1, 7, 9, 10]), 'the file was touched');
};

for (['changed', sub { spew($_[0], 'CONTENTS') }], ['shorter', sub { spew($_[0], 'content') }],
	['longer', sub { spew($_[0], 'contents and more') }], ['emptied', sub { spew($_[0], '') }], ['gone', sub { unlink $_[0] }]) {
	my ($what, $how) = @$_;
	case "an artifact that is $what here is fetched anew" => sub {
		my $r = shift;
		$r->artifact('targets', 'file', 'contents');
		published($r);
		$r->download(0, 'file');
		my ($path) = Rig::files_below($r->{d});
		$how->($path);
		$r->download(0, 'file');
		check(@{ $r->{log} } == 3, 'not fetched');
		$r->holds('contents');
		check((Rig::files_below($r->{d}))[0] eq $path, 'under another name');
	};
}

case 'an empty artifact and a large one' => sub {
	my $r = shift;
	my $large = join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 1 .. 400_000;
	$r->artifact('targets', 'empty', '');
	$r->artifact('targets', 'large', $large);
	published($r);
	$r->download(0, ['empty', 'large']);
	check(slurp("$r->{d}/empty") eq '' && slurp("$r->{d}/large") eq $large, 'contents');
	$r->download(0, ['large', 'empty']);
	$r->asked("@quiet");
};

# ---- substitution ----

case 'what the server puts in the place of an artifact is not taken' => sub {
	my $r = shift;
	my $bad = 'malicious data - should not download';
	$r->artifact('targets', 'one', 'target file contents');
	$r->artifact('targets', 'two', 'content');
	published($r);
	$r->download(0, 'one');
	$_ = $bad for values %{ $r->{artifacts} };
	$r->download(0, 'one');
	$r->holds('target file contents');
	$r->download(1, 'two');
	$r->holds('target file contents');
	unlink Rig::files_below($r->{d});
	$r->download(1, $_) for qw(one two);
	$r->holds;
};

for (['the same length', 'CONTENTS'], ['one byte more', 'contents!'], ['one byte less', 'content'], ['nothing', '']) {
	my ($what, $bad) = @$_;
	case "an artifact of $what but other content leaves what was here, or nothing (5.7.3)" => sub {
		my $r = shift;
		$r->artifact('targets', 'file', 'contents');
		published($r);
		$_ = $bad for values %{ $r->{artifacts} };
		$r->download(1, 'file');
		$r->holds;
		$r->artifact('targets', 'file', 'contents');
		$r->download(0, 'file');
		$r->artifact('targets', 'file', 'contents, next version');
		$_ = $bad for values %{ $r->{artifacts} };
		$r->publish(qw(targets snapshot timestamp));
		$r->download(1, 'file');
		$r->holds('contents');
	};
}

case 'new content takes the place of the old under the same name, time after time' => sub {
	my $r = shift;
	$r->artifact('targets', 'file', 'contents 0');
	published($r);
	$r->download(0, 'file');
	my @want = ('contents 0');
	for my $i (1 .. 4) {
		$r->artifact('targets', 'file', "contents $i");
		$r->artifact('targets', "new-$i", "new contents $i");
		$r->publish(qw(targets snapshot timestamp));
		next if $i == 2;
		$r->download(0, 'file');
		@want = ((grep { !/^contents/ } @want), "contents $i");
		$r->holds(@want);
		$r->download(0, "new-$i");
		push @want, "new contents $i";
		$r->holds(@want);
		$_ = "malicious $i" for values %{ $r->{artifacts} };
		$r->publish(qw(targets snapshot timestamp));
		$r->download('any', 'file');
		$r->holds(@want);
	}
};

case 'an artifact of unsigned length is cut off while it comes, not afterwards' => sub {
	my $r = shift;
	$r->artifact('targets', 'file', 'contents');
	published($r);
	my $path = sha256_hex('contents') . '.file';
	for my $answer ('endless', 'cut', 'headless', 'silent', 'reset', 'garbage', 404, 403, 500, 206, 302) {
		$r->{answer}{$path} = $answer;
		$r->download(1, 'file', seconds => 30);
		$r->holds;
	}
	$r->{answer} = {};
	$r->download(0, 'file');
	$r->holds('contents');
};

# ---- several in one process ----

case 'several targets are fetched in order by one process, roles and refresh once' => sub {
	my $r = shift;
	$r->delegate('targets', 'A');
	$r->artifact('A', $_, "contents of $_") for qw(x y z);
	published($r, 'A');
	$r->download(0, [qw(z x y)]);
	$r->asked(join ' ', '2.root.json timestamp.json 2.snapshot.json 2.targets.json 1.A.json',
		map { 'targets/' . sha256_hex("contents of $_") . ".$_" } qw(z x y));
	$r->holds('contents of z', 'contents of x', 'contents of y');
};

case 'the first target that fails ends it, what came before stays' => sub {
	my $r = shift;
	$r->artifact('targets', $_, "contents of $_") for qw(x y);
	published($r);
	$r->download(1, [qw(x missing y)]);
	$r->holds('contents of x');
	$r->{answer}{ sha256_hex('contents of y') . '.y' } = 404;
	$r->download(1, [qw(y x)]);
	$r->holds('contents of x');
};

case 'the same target twice is fetched once' => sub {
	my $r = shift;
	$r->artifact('targets', 'x', 'contents');
	published($r);
	$r->download(0, [qw(x x)]);
	check((grep { /^targets/ } @{ $r->{log} }) == 1, 'fetched twice');
	$r->holds('contents');
};

# ---- names ----

for ('a b', '#', 'a?b=c', '100%', '%2e%2e', "caf\xc3\xa9", 'a+b', '.hidden', 'dir/.hidden', '~', 'a:b', 'a\\b', '"', '-', 'x' x 200,
	'd/' x 100 . 'f', 'a.part', 'a.tmp', 'CON', 'root.json') {
	my $path = $_;
	my $shown = length $path > 40 ? substr($path, 0, 40) . '...' : $path;
	case "a target called '$shown' is one file directly in the directory, and is found again" => sub {
		my $r = shift;
		$r->artifact('targets', $path, "contents of $path");
		published($r);
		$r->download(0, $path, unwatched => 1);
		my ($dir, $file) = $path =~ m{^(.*/)?(.*)$};
		(my $url = ($dir // '') . sha256_hex("contents of $path") . ".$file") =~ s/([^A-Za-z0-9_.~\/-])/sprintf '%%%02X', ord $1/ge;
		$r->asked_last("targets/$url");
		$r->holds("contents of $path");
		my @names = ls($r->{d});
		check(@names == 1 && $names[0] !~ /^\./, "in the directory: @names");
		$r->download(0, $path, unwatched => 1);
		$r->asked("@quiet");
	};
}

for ('', '/', '/etc/passwd', '../x', 'a/../x', 'a/..', '.', './x', 'a//b', 'a/', "a\nb", "a\x7fb", 'x' x 1025) {
	my $path = $_;
	(my $shown = length $path > 40 ? substr($path, 0, 40) . '...' : $path) =~ s/[^ -~]/?/g;
	case "a target called '$shown' is not asked for, though the repository lists it" => sub {
		my $r = shift;
		$r->artifact('targets', $path, 'contents');
		published($r);
		$r->download(1, $path);
		check(!grep({ /^targets\// } @{ $r->{log} }), 'asked for');
		$r->holds;
		check(set_of(ls($r->{dir})) eq 'd err m out trusted.json', 'a file outside: ' . set_of(ls($r->{dir})));
	};
}

case 'two targets whose names differ only after encoding are two files' => sub {
	my $r = shift;
	my @paths = ('a/b', 'a%2Fb', 'a%252Fb', 'A/b', '.x', '%2Ex');
	$r->artifact('targets', $_, "contents of $_") for @paths;
	published($r);
	$r->download(0, \@paths);
	check(ls($r->{d}) == @paths, 'files: ' . join ' ', ls($r->{d}));
	$r->holds(map { "contents of $_" } @paths);
};

case 'a symbolic link or a directory in the place of the artifact is not followed' => sub {
	my $r = shift;
	$r->artifact('targets', 'x', 'contents');
	published($r);
	spew("$r->{dir}/outside", 'precious');
	symlink "$r->{dir}/outside", "$r->{d}/x";
	$r->download(0, 'x');
	check(slurp("$r->{dir}/outside") eq 'precious', 'the link was written through');
	check(!-l "$r->{d}/x" && slurp("$r->{d}/x") eq 'contents', 'not replaced');
	unlink "$r->{d}/x";
	# A link to what is right is no file of ours, either.
	spew("$r->{dir}/outside", 'contents');
	symlink "$r->{dir}/outside", "$r->{d}/x";
	$r->download(0, 'x');
	check(!-l "$r->{d}/x", 'a link was taken for the file');
	unlink "$r->{d}/x", "$r->{dir}/outside";
	mkdir "$r->{d}/x";
	$r->download(1, 'x');
	rmdir "$r->{d}/x" or die 'the directory was changed';
	$r->holds;
};

# ---- consistent snapshots ----

case 'without consistent snapshots artifacts have no hash in their names (6.2)' => sub {
	my $r = shift;
	$r->{consistent} = $r->{prefix} = 0;
	$r->root->{consistent_snapshot} = \'false';
	$r->artifact('targets', 'dir/file', 'contents');
	$r->publish(qw(root targets snapshot timestamp));
	$r->init;
	$r->download(0, 'dir/file');
	$r->asked_last('targets/dir/file');
	$r->holds('contents');
};

case 'a root that does not say is not consistent (4.3)' => sub {
	my $r = shift;
	$r->{consistent} = $r->{prefix} = 0;
	delete $r->root->{consistent_snapshot};
	$r->artifact('targets', 'file', 'contents');
	$r->publish(qw(root targets snapshot timestamp));
	$r->init;
	$r->download(0, 'file');
	$r->asked('2.root.json 3.root.json timestamp.json snapshot.json targets.json targets/file');
};

for (['length missing', sub { delete $_[0]{length} }], ['length negative', sub { $_[0]{length} = num(-1) }],
	['length as text', sub { $_[0]{length} = '8' }], ['length true', sub { $_[0]{length} = \'true' }],
	['hashes missing', sub { delete $_[0]{hashes} }], ['hashes as an array', sub { $_[0]{hashes} = [] }],
	['a hash that is a number', sub { $_[0]{hashes}{sha256} = num(1) }], ['custom as an array', sub { $_[0]{custom} = [] }]) {
	my ($what, $how) = @$_;
	case "targets are read strictly: $what (4.5)" => sub {
		my $r = shift;
		$r->artifact('targets', 'file', 'contents');
		$how->($r->doc('targets')->{targets}{file});
		published($r);
		$r->download(1, 'file');
		$r->trusts('root 1, snapshot 2, timestamp 2');
		$r->holds;
	};
}

run_cases;

# A TUF repository, its web server and a client under test, for the cases beside this file. Everything is made here and by
# openssl: canonical JSON, key ids, signatures. Nothing of lib/ takes part, so no mistake of lib/ can hide itself.
#
#	use Rig;
#	case 'a name, and the clause (5.x)' => sub {
#		my $r = shift;			# a fresh repository, everything at version 1, ECDSA P-256, consistent
#		$r->init;			# the client trusts root 1
#		$r->publish(qw(targets snapshot timestamp));	# sign the next version of each, in this order
#		$r->refresh(0);			# run the client; it must end with 0
#		$r->trusts('root 1, snapshot 2, targets 2, timestamp 2');
#		$r->asked('2.root.json timestamp.json 2.snapshot.json 2.targets.json');
#	};
#	run_cases;
#
# Documents are Perl data: hashes, arrays, scalars are strings, and \'5' or \'true' is JSON as it stands (num(5)).
# The client's directories are $r->{m} (metadata) and $r->{d} (artifacts); both are watched after every run: each *.json
# in m must be, byte for byte, something that was published, and d holds no hidden or temporary file.
package Rig;

use strict;
use warnings;

use Digest::SHA qw(sha256_hex sha512_hex);
use Exporter 'import';
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use POSIX qw(strftime WNOHANG);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(case run_cases check num utc canonical pretty slurp spew key sha256_hex sha512_hex ls set_of);

my $now = time;
my $work = $ENV{TEST_DIR} or die "TEST_DIR is not set\n";
my $client = $ENV{RIG_CLIENT} || 'meshanics tuf-client';
my $client_seconds = 60;

sub num { my $n = shift; return \"$n" }
sub utc { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($now + 86400 * shift)) }	# days from now
sub slurp { my ($p) = @_; open my $f, '<:raw', $p or return undef; local $/; return scalar <$f> }
sub spew { my ($p, $t) = @_; open my $f, '>:raw', $p or die "$p: $!"; print $f $t; close $f or die "$p: $!" }
sub ls { my ($d) = @_; opendir my $h, $d or return; my @names = sort grep { !/^\.\.?$/ } readdir $h; return @names }
sub set_of { return join ' ', sort @_ }

# ---- JSON ----

sub quote {
	my ($s, $canonical) = @_;
	$s =~ s/(["\\])/\\$1/g;
	$s =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge unless $canonical;
	return "\"$s\"";
}

# OLPC canonical JSON: keys by bytes, no space, only " and \ escaped.
sub canonical {
	my ($v) = @_;
	return '{' . join(',', map { quote($_, 1) . ':' . canonical($v->{$_}) } sort keys %$v) . '}' if ref $v eq 'HASH';
	return '[' . join(',', map { canonical($_) } @$v) . ']' if ref $v eq 'ARRAY';
	return ref $v ? $$v : quote($v, 1);
}

# The form that is served: indented, so that nobody can sign it by accident.
sub pretty {
	my ($v, $in) = (@_, '');
	my $deep = "$in ";
	if (ref $v eq 'HASH') {
		return '{}' if !%$v;
		return "{\n" . join(",\n", map { $deep . quote($_) . ': ' . pretty($v->{$_}, $deep) } sort keys %$v) . "\n$in}";
	}
	if (ref $v eq 'ARRAY') {
		return @$v ? "[\n" . join(",\n", map { $deep . pretty($_, $deep) } @$v) . "\n$in]" : '[]';
	}
	return ref $v ? $$v : quote($v);
}

# ---- keys ----

my (%pool, %signed_before, $serial);

sub openssl {
	my ($in, @args) = @_;
	my $path = "$work/in." . ++$serial;
	spew($path, $in) if defined $in;
	my $pid = open(my $p, '-|') // die "fork: $!";
	if (!$pid) {
		open STDERR, '>', "$work/openssl.err";
		exec 'openssl', @args, defined $in ? $path : () or POSIX::_exit(127);
	}
	binmode $p;
	my $out = do { local $/; <$p> };
	close $p or die "openssl @args failed\n";
	unlink $path;
	return $out;
}

my %kinds = (
	ecdsa => [[qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)], 'ecdsa', 'ecdsa-sha2-nistp256'],
	'ecdsa-old' => [[qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)], 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256'],
	p384 => [[qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-384)], 'ecdsa', 'ecdsa-sha2-nistp384'],
	ed25519 => [[qw(-algorithm ED25519)], 'ed25519', 'ed25519'],
	rsa => [[qw(-algorithm RSA -pkeyopt rsa_keygen_bits:3072)], 'rsa', 'rsassa-pss-sha256'],
);

# The n-th key of a kind: made once a run, so that equal bodies are signed once. extra: unknown members of its object.
sub key {
	my ($kind, $n, $extra) = @_;
	my ($how, $keytype, $scheme) = @{ $kinds{$kind} };
	my $k = $pool{"$kind $n"} ||= do {
		my $path = "$work/key-$kind-$n.pem";
		openssl(undef, 'genpkey', @$how, '-out', $path);
		my $der = openssl(undef, 'pkey', '-in', $path, qw(-pubout -outform DER));
		{ path => $path, kind => $kind, der => $der, public => $keytype eq 'ed25519' ? unpack('H*', substr($der, -32))
			: "-----BEGIN PUBLIC KEY-----\n" . encode_base64($der) . "-----END PUBLIC KEY-----\n" };
	};
	my $object = { keytype => $keytype, scheme => $scheme, keyval => { public => $k->{public} }, %{ $extra || {} } };
	return { %$k, object => $object, id => sha256_hex(canonical($object)) };
}

sub signature {
	my ($k, $payload) = @_;
	my $cached = \$signed_before{"$k->{path} " . sha256_hex($payload)};
	return $$cached if defined $$cached;
	my @how = $k->{kind} eq 'ed25519' ? ('pkeyutl', '-sign', '-rawin', '-inkey', $k->{path}, '-in')
		: $k->{kind} eq 'rsa' ? (qw(dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt), 'rsa_pss_saltlen:' .
			($k->{salt} // 32), '-sign', $k->{path})
		: ('dgst', $k->{kind} eq 'p384' ? '-sha384' : '-sha256', '-sign', $k->{path});
	return $$cached = unpack 'H*', openssl($payload, @how);
}

# ---- the repository ----

my @top = qw(root timestamp snapshot targets);
my ($listener, $case_number) = (undef, 0);

sub new {
	my ($class) = @_;
	my $n = ++$case_number;
	my $r = bless { n => $n, consistent => 1, hashes => 0, prefix => 1, next_key => 0, dir => "$work/$n",
		m => "$work/$n/m", d => "$work/$n/d", published => [], files => {}, artifacts => {}, answer => {},
		signers => {}, versions => {}, log => [], bodies => {} }, $class;
	mkdir $_ for $r->{dir}, $r->{m}, $r->{d};
	$r->{doc}{$_} = { _type => $_, spec_version => '1.0.31', expires => utc(30), version => num(0) } for @top;
	$r->root->{consistent_snapshot} = \'true';
	$r->root->{keys} = {};
	$r->root->{roles} = { map { $_ => { keyids => [], threshold => num(1) } } @top };
	$r->doc('targets')->{targets} = {};
	$r->doc('snapshot')->{meta} = {};
	$r->doc('timestamp')->{meta} = {};
	$r->add_key($_) for @top;
	$r->publish(qw(targets snapshot timestamp root));
	return $r;
}

sub doc { my ($r, $role) = @_; return $r->{doc}{$role} }
sub root { return $_[0]{doc}{root} }
sub role { my ($r, $role) = @_; return $r->root->{roles}{$role} }
sub version { my ($r, $role) = @_; return ${ $r->{doc}{$role}{version} } }
sub new_key { my ($r, $kind) = @_; $kind ||= 'ecdsa'; return key($kind, $r->{next_key}++) }

# List a key for a top-level role, and let it sign.
sub add_key {
	my ($r, $role, $k) = @_;
	$k ||= $r->new_key;
	$r->list_key($role, $k);
	push @{ $r->{signers}{$role} }, $k;
	return $k;
}

sub list_key {
	my ($r, $role, $k) = @_;
	$r->root->{keys}{ $k->{id} } = $k->{object};
	push @{ $r->role($role)->{keyids} }, $k->{id} unless grep { $_ eq $k->{id} } @{ $r->role($role)->{keyids} };
}

sub drop_keys {
	my ($r, $role) = @_;
	$r->role($role)->{keyids} = [];
	$r->{signers}{$role} = [];
}

sub rotate { my ($r, $role) = @_; $r->drop_keys($role); return $r->add_key($role) }

# The file of a document as it now stands, signed by its signers.
sub sign {
	my ($r, $role, $doc) = @_;
	my $payload = canonical($doc || $r->doc($role));
	my @sigs = map { { keyid => $_->{id}, sig => signature($_, $payload) } } @{ $r->{signers}{$role} };
	return pretty({ signed => $doc || $r->doc($role), signatures => \@sigs });
}

# Serve bytes under a path below metadata/, and know them as `role version`.
sub serve {
	my ($r, $path, $bytes, $role, $version) = @_;
	$r->{files}{$path} = $bytes;
	push @{ $r->{published} }, [$role, $version, $bytes] if defined $role;
	return $bytes;
}

sub quoted { my ($name) = @_; $name =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge; return $name }

# Where a version of a role is served.
sub path_of {
	my ($r, $role, $version) = @_;
	my $plain = $role eq 'timestamp' || ($role ne 'root' && !$r->{consistent});
	return ($plain ? '' : "$version.") . quoted($role) . '.json';
}

# What a listing says of a file: version, and with {hashes} length and SHA-256, too.
sub meta_of {
	my ($r, $version, $bytes) = @_;
	return { version => num($version) } if !$r->{hashes};
	return { version => num($version), length => num(length $bytes), hashes => { sha256 => sha256_hex($bytes) } };
}

# The next version of each role, in the order given; {set}{role} names another version once. Listings follow.
sub publish {
	my ($r, @roles) = @_;
	for my $role (@roles) {
		my $version = delete $r->{set}{$role} // $r->version($role) + 1;
		my $doc = $r->doc($role);
		$doc->{version} = num($version);
		my $bytes = $r->sign($role);
		$r->serve($r->path_of($role, $version), $bytes, $role, $version);
		$r->{bodies}{$role} = $bytes;
		if ($role eq 'snapshot') {
			$r->doc('timestamp')->{meta}{'snapshot.json'} = $r->meta_of($version, $bytes);
		} elsif ($role ne 'root' && $role ne 'timestamp') {
			$r->doc('snapshot')->{meta}{"$role.json"} = $r->meta_of($version, $bytes);
		}
	}
}

# Replace what is served for the newest version of a role by what the sub makes of it, and know that as published.
sub edit {
	my ($r, $role, $how) = @_;
	my $path = $r->path_of($role, $r->version($role));
	local $_ = $r->{files}{$path};
	$how->();
	$r->serve($path, $_, $role, $r->version($role));
	$r->{bodies}{$role} = $_;
}

# Take away every version of a role.
sub withdraw {
	my ($r, $role) = @_;
	delete $r->{files}{$_} for grep { /(^|\.)\Q@{[quoted($role)]}\E\.json$/ } keys %{ $r->{files} };
}

# ---- delegations and artifacts ----

# delegator lists role, with a key of its own; %how: paths, prefixes, terminating, key, threshold.
sub delegate {
	my ($r, $delegator, $role, %how) = @_;
	my $k = $how{key} || $r->new_key('ecdsa');
	my $d = $r->doc($delegator)->{delegations} ||= { keys => {}, roles => [] };
	$d->{keys}{ $k->{id} } = $k->{object};
	push @{ $d->{roles} }, { name => $role, keyids => [$k->{id}], threshold => num($how{threshold} || 1),
		terminating => \($how{terminating} ? 'true' : 'false'),
		$how{prefixes} ? (path_hash_prefixes => $how{prefixes}) : (paths => $how{paths} || ['*']) };
	push @{ $r->{signers}{$role} }, $k unless $how{silent} || grep { $_->{id} eq $k->{id} } @{ $r->{signers}{$role} || [] };
	$r->targets_role($role);
	return $k;
}

sub targets_role {
	my ($r, $role) = @_;
	return $r->{doc}{$role} ||= { _type => 'targets', spec_version => '1.0.31', expires => utc(30), version => num(0),
		targets => {} };
}

# TAP 15: all bins are signed by one key.
sub succinct {
	my ($r, $delegator, $bits, $prefix) = @_;
	my $k = $r->new_key;
	my $digits = int(($bits + 3) / 4);
	$r->doc($delegator)->{delegations} = { keys => { $k->{id} => $k->{object} }, succinct_roles => {
		keyids => [$k->{id}], threshold => num(1), bit_length => num($bits), name_prefix => $prefix } };
	my @bins = map { sprintf "$prefix-%0${digits}x", $_ } 0 .. (1 << $bits) - 1;
	for my $bin (@bins) {
		$r->targets_role($bin);
		$r->{signers}{$bin} = [$k];
	}
	return @bins;
}

# role lists an artifact of that content; it is served.
sub artifact {
	my ($r, $role, $path, $content, @hashes) = @_;
	my %of = (sha256 => sha256_hex($content), sha512 => sha512_hex($content));
	@hashes = ('sha256') if !@hashes;
	$r->doc($role)->{targets}{$path} = { length => num(length $content),
		hashes => { map { $_ => $of{$_} // 'd41d8cd98f00b204e9800998ecf8427e' } @hashes } };
	$r->serve_artifact($path, $content, map { $of{$_} // () } @hashes);
}

# path below targets/, with each hash in front of the file name, and without one.
sub serve_artifact {
	my ($r, $path, $content, @hashes) = @_;
	my ($dir, $file) = $path =~ m{^(.*/)?([^/]*)$};
	$dir //= '';
	$r->{artifacts}{"$dir$_.$file"} = $content for @hashes;
	$r->{artifacts}{$path} = $content if !$r->{prefix} || !@hashes;
}

# ---- the server ----

sub listen_on {
	$listener ||= IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
	return $listener;
}

sub url { my ($r, $what) = @_; return 'http://127.0.0.1:' . listen_on()->sockport . "/$r->{n}/$what/" }

# HTTP/1.0, closed after each answer, as Python's http.server is.
sub http {
	my ($status, $body) = @_;
	my $reason = { 200 => 'OK', 404 => 'File not found', 403 => 'Forbidden' }->{$status} || 'Other';
	my $type = $status == 200 ? '' : "Connection: close\r\nContent-Type: text/html;charset=utf-8\r\n";
	return "HTTP/1.0 $status $reason\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\nDate: " .
		strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime) . "\r\n${type}Content-length: " . length($body) . "\r\n\r\n$body";
}

sub put { my ($s, $bytes) = @_; local $SIG{PIPE} = 'IGNORE'; return defined syswrite $s, $bytes }

# Answers that are no file: $r->{answer}{PATH} is a sub that is given the socket, or one of these words.
my %answers = (
	silent => sub { },	# closed without a byte
	reset => sub { setsockopt $_[0], SOL_SOCKET, SO_LINGER, pack 'II', 1, 0 },
	cut => sub { put($_[0], "HTTP/1.0 200 OK\r\nContent-length: 1000\r\n\r\n{\"signed\":") },
	headless => sub { put($_[0], "HTTP/1.0 200 OK\r\nContent-le") },
	endless => sub { put($_[0], "HTTP/1.0 200 OK\r\n\r\n"); 1 while put($_[0], ' ' x 65536) },
	'endless head' => sub { put($_[0], "HTTP/1.0 200 OK\r\n"); 1 while put($_[0], 'X: ' . 'y' x 4096 . "\r\n") },
	garbage => sub { put($_[0], "\x00\xff\x16 no http at all\r\n\r\n") },
);

sub read_request {
	my ($s) = @_;
	my $head = '';
	while ($head !~ /\r\n\r\n/) {
		sysread $s, $head, 4096, length $head or return undef;
	}
	return $head;
}

sub answer_one {
	my ($r, $s) = @_;
	my $head = read_request($s);
	return if !defined $head;
	$r->{head} = $head;
	my ($method, $target) = $head =~ m{^(\S+) (\S+) HTTP/1\.[01]\r\n} or return put($s, http(400, ''));
	my ($what, $path) = $target =~ m{^/$r->{n}/(metadata|targets)/(.*)$} or do {
		push @{ $r->{log} }, "stray:$target";
		return put($s, http(404, 'no such repository'));
	};
	push @{ $r->{log} }, ($method eq 'GET' ? '' : "$method:") . ($what eq 'targets' ? "targets/$path" : $path);
	my $special = $r->{answer}{$path};
	if (defined $special) {
		return put($s, http($special, "<h1>Error $special</h1>\n")) if $special =~ /^\d+$/;
		return (ref $special ? $special : $answers{$special} || die "no answer '$special'")->($s);
	}
	$path =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge if $what eq 'targets';
	my $file = $what eq 'targets' ? $r->{artifacts}{$path} : $r->{files}{$path};
	return put($s, defined $file ? http(200, $file) : http(404, "<p>$path</p>\n"));
}

# ---- the client ----

sub spawn {
	my ($r, $env, @argv) = @_;
	my $pid = fork // die "fork: $!";
	return $pid if $pid;
	close $listener if $listener;
	open STDIN, '<', '/dev/null';
	open STDOUT, '>', "$r->{dir}/out";
	open STDERR, '>', "$r->{dir}/err";
	$ENV{$_} = $env->{$_} for keys %$env;
	exec @argv or POSIX::_exit(127);
}

# Run the client and serve it until it ends; its status (128 + signal for a death).
sub run {
	my ($r, $how, @args) = @_;
	my @argv = split / /, $client;
	my %env = %{ $how->{env} || {} };
	listen_on();
	if (defined $how->{at}) {
		unshift @argv, 'faketime', strftime('%Y-%m-%d %H:%M:%S+00:00', gmtime($now + 86400 * $how->{at}));
		$env{ASAN_OPTIONS} = ($ENV{ASAN_OPTIONS} // '') . ':verify_asan_link_order=0';
	}
	unshift @argv, @{ $how->{under} || [] };
	$r->{log} = [];
	my $pid = $r->{pid} = $r->spawn(\%env, @argv, @args);
	my $end = time + ($how->{seconds} || $client_seconds);
	my $status;
	until (defined $status) {
		my $bits = '';
		vec($bits, fileno $listener, 1) = 1;
		if (select($bits, undef, undef, 0.003) > 0 && (my $s = $listener->accept)) {
			$r->answer_one($s);
			close $s;
		}
		$status = $? if waitpid($pid, WNOHANG) == $pid;
		if (!defined $status && time > $end) {
			kill 'KILL', $pid;
			waitpid $pid, 0;
			die "the client still ran after " . ($how->{seconds} || $client_seconds) . " s: @args\n";
		}
	}
	$r->{status} = $status & 127 ? 128 + ($status & 127) : $status >> 8;
	return $r->{status};
}

sub said { my ($r) = @_; return slurp("$r->{dir}/err") // '' }

# Every run but those told otherwise ends so, and leaves nothing that nobody published.
sub expect {
	my ($r, $want, $how, @args) = @_;
	my $got = $r->run($how, @args);
	if ($want ne 'any') {
		check($got == $want, "exit $got where $want is right: @args");
	} else {
		check($got == 0 || $got == 1, "exit $got: @args");
	}
	check($got == 0 || $r->said =~ /\S/, 'a failure without a word');
	$r->watch unless $how->{unwatched};
}

sub init {
	my ($r, $want, $bytes) = @_;
	$bytes //= $r->{files}{'1.root.json'};
	spew("$r->{dir}/trusted.json", $bytes);
	push @{ $r->{published} }, ['root', 'as trusted', $bytes] unless grep { $_->[2] eq $bytes } @{ $r->{published} };
	$r->expect($want // 0, {}, '--metadata-dir', $r->{m}, 'init', "$r->{dir}/trusted.json");
	$r->asked('');
}

sub refresh {
	my ($r, $want, %how) = @_;
	$r->expect($want, \%how, '--metadata-url', $r->url('metadata'), '--metadata-dir', $r->{m}, 'refresh');
}

sub download {
	my ($r, $want, $paths, %how) = @_;
	$r->expect($want, \%how, '--metadata-url', $r->url('metadata'), '--metadata-dir', $r->{m},
		(map { ('--target-name', $_) } ref $paths ? @$paths : $paths), '--target-dir', $r->{d},
		'--target-base-url', $r->url('targets'), 'download');
}

# ---- what must hold ----

sub check { my ($yes, $text) = @_; die "$text\n" if !$yes }

# The metadata that the client trusts, as "role version, ...".
sub trusted {
	my ($r) = @_;
	my @found;
	for my $name (grep { /\.json$/ } ls($r->{m})) {
		my $bytes = slurp("$r->{m}/$name");
		my ($known) = grep { $_->[2] eq $bytes } reverse @{ $r->{published} };
		check($known, "$name in the metadata directory is nothing that was published");
		push @found, "$known->[0] $known->[1]";
	}
	return join ', ', sort @found;
}

sub trusts {
	my ($r, $want) = @_;
	my $got = $r->trusted;
	check($got eq $want, "the client trusts $got\nwhere it should trust $want");
}

sub asked {
	my ($r, $want) = @_;
	my $got = join ' ', @{ $r->{log} };
	check($got eq $want, "the client asked for '$got'\nwhere it should ask for '$want'");
}

sub asked_last { my ($r, $want) = @_; my $got = $r->{log}[-1] // ''; check($got eq $want, "asked last for '$got', not '$want'") }

sub files_below {
	my ($dir) = @_;
	return map { -d "$dir/$_" && !-l "$dir/$_" ? files_below("$dir/$_") : "$dir/$_" } ls($dir);
}

# The artifact directory holds files of these contents, and the oldest is the first of them (times may be equal).
sub holds {
	my ($r, @want) = @_;
	my @left = files_below($r->{d});
	my $last = 0;
	my $shown = @left . " files: " . substr join(" ", map { s{.*/}{}r . "=" . substr slurp($_), 0, 40 } @left), 0, 300;
	check(@left == @want, "the artifact directory holds $shown\nwhere " . @want . " files are right");
	for my $content (@want) {
		my ($found) = grep { slurp($_) eq $content } @left;
		check(defined $found, "the artifact directory holds $shown\nand nothing of the content " . substr $content, 0, 80);
		my $at = (Time::HiRes::stat($found))[9];
		check($at >= $last, "the artifact directory holds $shown\nbut an older file was touched");
		$last = $at;
		@left = grep { $_ ne $found } @left;
	}
}

sub watch {
	my ($r) = @_;
	$r->trusted;
	for (files_below($r->{d})) {
		check(!m{/\.[^/]*$} && !m{\.(tmp|part|new)$}, "left behind: $_");
	}
	check(!ls("$r->{m}/next"), 'left behind in next/: ' . join ' ', ls("$r->{m}/next"));
	check(!-e "$r->{m}/commit", 'a commit was left unfinished');
}

# ---- cases ----

my @cases;
our @children;	# what a case has started beside the client; ended with it

sub case { push @cases, [@_] }

# RIG_ONLY: a pattern, to run some of them.
sub run_cases {
	my ($n, $failed) = (0, 0);
	$| = 1;
	for (@cases) {
		my ($title, $body) = @$_;
		next if defined $ENV{RIG_ONLY} && $title !~ /$ENV{RIG_ONLY}/;
		my $start = time;
		my $r = eval { Rig->new };
		my $fine = $r && eval { $body->($r); 1 };
		my $why = $@;
		kill "KILL", @children;
		waitpid $_, 0 for splice @children;
		$n++;
		print $fine ? '' : 'not ', "ok $n - $title\n";
		printf "#	%.2f s\n", time - $start if $ENV{RIG_TIMES};
		next if $fine;
		$failed++;
		chomp $why;
		$why .= "\nstandard error:\n" . $r->said if $r;
		$why =~ s/^/#    /gm;
		print "$why\n";
	}
	print "1..$n\n";
	exit($failed > 0);
}

1;

# tuf-client and its disk: a power cut, an error or no space at every call that changes a file; a kill at any moment.
# (The calls fail by MESHANICS_FAULT, in test builds alone.)
use strict;
use warnings;

use Rig;
use Time::HiRes qw(sleep);

my @paths = ('2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json');
my $all_one = 'root 1, snapshot 1, targets 1, timestamp 1';

# ---- the disk (test builds: every call that changes a file goes wrong once) ----

my $test_build = `meshanics version --json` =~ /"test_build":\s*true/;

for my $mode ($test_build ? qw(cut full torn) : ()) {
	case "a refresh in which any call to the disk goes wrong ($mode) leaves the old state or the new, and the next is whole" => sub {
		my $r = shift;
		$r->init;
		$r->refresh(0);
		my $old = $r->trusted;
		$r->delegate('targets', 'A');
		$r->artifact('A', 'x', 'contents');
		$r->publish(qw(A targets snapshot timestamp root));
		my $new = 'root 2, snapshot 2, targets 2, timestamp 2';
		system 'cp', '-a', $r->{m}, "$r->{dir}/before";
		my ($n, $calm, %seen) = (0, 0);
		while ($calm < ($mode eq 'cut' ? 1 : 30)) {	# verified facts may be lost without a failure
			$n++;
			check($n < 500, 'it never ends');
			system 'rm', '-rf', $r->{m};
			system 'cp', '-a', "$r->{dir}/before", $r->{m};
			my $status = $r->run({ env => { MESHANICS_FAULT => "$n:$mode" } }, '--metadata-url', $r->url('metadata'),
				'--metadata-dir', $r->{m}, 'refresh');
			check($status == 0 || $status == 1 || $status == 99, "call $n: exit $status");
			$calm = $status == 0 ? $calm + 1 : 0;
			# Opening the store finishes or forgets what was begun: a refresh that finds no server shows which.
			$r->run({}, '--metadata-url', 'http://127.0.0.1:1/', '--metadata-dir', $r->{m}, 'refresh');
			my $state = $r->trusted;
			check($state eq $old || $state eq $new, "call $n: a mixture: $state");
			check($state eq $new, "call $n: said 0 and stored $state") if $status == 0;
			$seen{$state}++;
			$r->refresh(0);
			$r->trusts($new);
		}
		check($n > 8 && $seen{$old} && $seen{$new}, "only $n calls were walked");
	};
}

for my $mode ($test_build ? qw(cut error full) : ()) {
	case "a download in which any call to the disk goes wrong ($mode) leaves no part of a file" => sub {
		my $r = shift;
		$r->artifact('targets', 'x', 'contents one');
		$r->publish(qw(targets snapshot timestamp));
		$r->init;
		$r->download(0, 'x');
		$r->artifact('targets', 'x', 'contents two' x 10000);
		$r->publish(qw(targets snapshot timestamp));
		$r->refresh(0);
		my ($n, $calm) = (0, 0);
		while ($calm < ($mode eq 'cut' ? 1 : 30)) {	# verified facts may be lost without a failure
			$n++;
			check($n < 500, 'it never ends');
			spew("$r->{d}/x", 'contents one');
			my $status = $r->run({ env => { MESHANICS_FAULT => "$n:$mode" } }, '--metadata-url', $r->url('metadata'),
				'--metadata-dir', $r->{m}, '--target-name', 'x', '--target-dir', $r->{d}, '--target-base-url', $r->url('targets'),
				'download');
			check($status == 0 || $status == 1 || $status == 99, "call $n: exit $status");
			my $x = slurp("$r->{d}/x");
			check($x eq 'contents one' || $x eq 'contents two' x 10000, "call $n: a mixture of " . length($x) . ' bytes');
			check(ls($r->{d}) == 1, "call $n: left behind: " . join ' ', ls($r->{d})) if $status == 1;
			$calm = $status == 0 ? $calm + 1 : 0;
			$r->download(0, 'x');
			$r->holds('contents two' x 10000);
		}
		check($n > 4, "only $n calls were walked");
	};
}

for my $mode ($test_build ? qw(cut) : ()) {
	case "init in which any call to the disk goes wrong ($mode) can be said again" => sub {
		my $r = shift;
		$r->init;
		my ($n, $calm) = (0, 0);
		while ($calm < ($mode eq 'cut' ? 1 : 30)) {	# verified facts may be lost without a failure
			$n++;
			check($n < 500, 'it never ends');
			system 'rm', '-rf', $r->{m};
			mkdir $r->{m};
			my $status = $r->run({ env => { MESHANICS_FAULT => "$n:$mode" } }, '--metadata-dir', $r->{m}, 'init',
				"$r->{dir}/trusted.json");
			check($status == 0 || $status == 1 || $status == 99, "call $n: exit $status");
			$calm = $status == 0 ? $calm + 1 : 0;
			$r->refresh('any') if $status != 0;
			$r->init;
			$r->refresh(0);
			$r->trusts($all_one);
		}
	};
}

# ---- a client that is killed ----

case 'a client killed at any moment leaves a state from which the next one goes on' => sub {
	my $r = shift;
	$r->artifact('targets', 'x', 'contents' x 1000);
	$r->publish(qw(targets snapshot timestamp));
	$r->init;
	for my $path (@paths[0, 1], '2.snapshot.json', '2.targets.json', sha256_hex('contents' x 1000) . '.x') {
		$r->{answer} = { $path => sub {
			Rig::put($_[0], "HTTP/1.0 200 OK\r\nContent-length: 20000\r\n\r\n" . 'contents' x 10);
			kill 'KILL', $r->{pid};
			sleep 0.05;
		} };
		my $status = $r->run({}, '--metadata-url', $r->url('metadata'), '--metadata-dir', $r->{m}, '--target-name', 'x',
			'--target-dir', $r->{d}, '--target-base-url', $r->url('targets'), 'download');
		check($status == 137, "exit $status");
	}
	$r->{answer} = {};
	$r->download(0, 'x', unwatched => 1);
	check(slurp("$r->{d}/x") eq 'contents' x 1000, 'contents');
	check(ls($r->{d}) == 1, 'left behind for good: ' . join ' ', ls($r->{d}));
};

run_cases;

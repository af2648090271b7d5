// Attacks on targets and delegations: what is listed, who may say so, and what a pattern covers. See attack.js.
'use strict';
const { Raw, NOW, iso, hashesOf } = require('./repo');
const { sha } = require('./keys');
const {
	attack,
	alone,
	signed,
	set,
	text,
	served,
	victimEntry,
	targetEntry,
	victimFile,
	wantV1,
	extraTarget,
	flipBytes,
} = require('./attack');

// ---- targets (4.5, 5.7) ----

attack('target-byte-flipped', ['victim'], undefined, (c) => {
	victimFile(c, flipBytes);
	wantV1(c, 'refused');
});
attack('target-too-long', ['victim'], undefined, (c) => {
	victimFile(c, (b) => Buffer.concat([b, Buffer.from('x')]));
	wantV1(c, 'refused');
});
attack('target-too-short', ['victim'], undefined, (c) => {
	c.repo.victim.targets['v/1'] = c.random.bytes(50);
	victimFile(c, (b) => b.subarray(1));
	wantV1(c, 'refused');
});
attack('target-missing', ['victim'], undefined, (c) => {
	victimFile(c, () => undefined);
	wantV1(c, 'refused');
});
attack('target-empty', ['victim'], undefined, (c) => {
	c.repo.victim.targets['v/1'] = Buffer.alloc(0);
	wantV1(c, 'found');
});
attack('target-length-wrong', ['victim'], undefined, (c) => {
	targetEntry(c, (t) => {
		t.length += c.random.pick([1, 100]);
	});
	wantV1(c, 'refused');
});
attack('target-one-hash-of-two-wrong', ['victim'], undefined, (c) => {
	c.repo.victim.hashes = ['sha256', 'sha512'];
	targetEntry(c, (t) => {
		t.hashes.sha512 = sha('sha512', 'other');
	});
	wantV1(c, 'refused');
});
attack('target-hash-unknown-beside-known', ['victim'], undefined, (c) => {
	c.repo.victim.hashes = ['sha256'];
	targetEntry(c, (t) => {
		t.hashes.blake7 = 'aa';
	});
	wantV1(c, 'found');
});
attack('target-hash-unknown-only', ['victim'], undefined, (c) => {
	targetEntry(c, (t) => {
		t.hashes = { blake7: 'aa' };
	});
	wantV1(c, 'refused');
});
attack('target-hash-weak-only', ['victim'], undefined, (c) => {
	const hashes = hashesOf(c.repo.victim.targets['v/1'], [c.random.pick(['md5', 'sha1'])]);
	targetEntry(c, (t) => {
		t.hashes = hashes;
	});
	served(c, (_, targets, repo) =>
		targets.set(repo.consistent ? `v/${Object.values(hashes)[0]}.1` : 'v/1', repo.victim.targets['v/1']),
	);
	wantV1(c, 'refused');
});
attack('target-hashes-empty', ['victim'], undefined, (c) => {
	targetEntry(c, (t) => {
		t.hashes = {};
	});
	wantV1(c, 'refused');
});
attack('target-member-missing', ['victim'], undefined, (c) => {
	targetEntry(c, (t) => {
		delete t[c.random.pick(['length', 'hashes'])];
	});
	wantV1(c, 'refused');
});
attack('target-length-bad', ['victim'], undefined, (c) => {
	targetEntry(c, (t) => {
		t.length = c.random.pick([-1, '7', null, new Raw('7.5')]);
	});
	wantV1(c, 'refused');
});
attack('target-custom', ['victim'], 'accept', (c) =>
	targetEntry(c, (t) => {
		t.custom = { name: 'naïve', list: [1, { a: null }] };
	}),
);
attack('target-custom-no-object', ['victim'], undefined, (c) => {
	targetEntry(c, (t) => {
		t.custom = c.random.pick(['text', 5, [1], null, true]);
	});
	wantV1(c, 'refused');
});
attack('target-entry-no-object', ['victim'], undefined, (c) => {
	targetEntry(c, (t, all) => {
		all['v/1'] = c.random.pick([null, 5, 'text', [1]]);
	});
	wantV1(c, 'refused');
});
attack('target-path-with-question-mark', ['victim'], undefined, (c) => {
	extraTarget(c, 'v/a?b', 'v/a*');
	wantV1(c, 'found');
	c.wants.lookups['v/a?b'] = 'found';
});
attack('target-path-with-number-sign', ['victim'], undefined, (c) => {
	extraTarget(c, 'v/a#b', 'v/a*');
	wantV1(c, 'found');
	c.wants.lookups['v/a#b'] = 'found';
});
attack('target-path-with-percent', ['victim'], undefined, (c) => {
	extraTarget(c, 'v/a%41', 'v/a*');
	wantV1(c, 'found');
	c.wants.lookups['v/a%41'] = 'found';
});
attack('target-path-with-backslash', ['victim'], undefined, (c) => {
	extraTarget(c, 'v/a\\b', 'v/a*');
	wantV1(c, 'found');
	c.wants.lookups['v/a\\b'] = 'found';
});
attack('target-path-climbs', ['victim'], undefined, (c) => {
	extraTarget(c, 'v/../1', 'v/*/*');
	wantV1(c, 'found');
	c.wants.lookups['v/../1'] = 'refused';
});
attack('target-path-absolute', ['victim'], undefined, (c) => {
	extraTarget(c, '/v/1', '/v/*');
	wantV1(c, 'found');
	c.wants.lookups['/v/1'] = 'refused';
});
attack('target-path-with-empty-part', ['victim'], undefined, (c) => {
	extraTarget(c, 'v//1', 'v//*');
	wantV1(c, 'found');
	c.wants.lookups['v//1'] = 'refused';
});
attack('target-path-with-control-character', ['victim'], undefined, (c) => {
	c.repo.fill(c.repo.victim, ['v/a\u0007b']);
	wantV1(c, 'refused');
});
attack('target-path-empty', ['victim'], undefined, (c) => {
	c.repo.victim.targets[''] = Buffer.alloc(1);
	wantV1(c, 'refused');
});
attack('target-named-as-a-method', ['targets'], undefined, (c) => {
	c.lookups.push('constructor');
	c.wants = { refresh: 'ok', lookups: { 'v/1': 'found', constructor: 'none' } };
});
attack('target-listed-nowhere', ['targets'], undefined, (c) => {
	c.lookups.push('v/none', 'nowhere');
	c.wants = { refresh: 'ok', lookups: { 'v/1': 'found', 'v/none': 'none', nowhere: 'none' } };
});

// ---- delegations (4.5, 5.6.7) ----

attack('target-outside-delegated-paths', ['victim'], undefined, (c) => {
	c.repo.fill(c.repo.victim, ['w/1']);
	c.lookups.push('w/1');
	c.repo.targets.delegations.splice(1);
	wantV1(c, 'found');
	c.wants.lookups['w/1'] = 'none';
});
attack('target-outside-an-outer-delegation', ['victim'], undefined, (c) => {
	const inner = c.repo.node('inner');
	c.repo.fill(inner, ['w/1']);
	c.repo.victim.delegations = [{ to: inner, terminating: false, paths: ['*/*'] }];
	c.repo.targets.delegations.splice(1);
	c.lookups.push('w/1');
	wantV1(c, 'found');
	c.wants.lookups['w/1'] = 'none';
});
attack('terminating-hides-the-next', ['victim'], undefined, (c) => {
	const next = c.repo.node('next');
	c.repo.fill(next, ['v/9', 'v/1']);
	c.repo.targets.delegations.splice(1, 99, { to: next, terminating: false, paths: ['v/*'] });
	c.repo.targets.delegations[0].terminating = true;
	c.lookups.push('v/9');
	wantV1(c, 'found');
	c.wants.lookups['v/9'] = 'none';
});
alone('the-first-delegation-wins', ['victim'], 'accept', (c) => {
	const next = c.repo.node('next');
	c.repo.fill(next, ['v/9', 'v/1']);
	c.repo.targets.delegations.splice(1, 99, { to: next, terminating: false, paths: ['v/*'] });
	c.lookups.push('v/9');
});
alone('delegations-in-a-circle', ['victim'], 'accept', (c) => {
	const other = c.repo.node('other');
	other.delegations = [
		{ to: c.repo.victim, terminating: false, paths: ['*/*'] },
		{ to: other, terminating: false, paths: ['*/*'] },
	];
	c.repo.victim.delegations = [{ to: other, terminating: c.random.chance(0.5), paths: ['*/*'] }];
	c.lookups.push('v/none');
});
function chain(c, length) {
	let at = c.repo.targets;
	at.delegations = [];
	for (let i = 0; i < length; i++) {
		const to = Object.assign(c.repo.node(`deep-${i}`), { keys: [c.ring.ed[0]], threshold: 1 });
		at.delegations = [{ to, terminating: false, paths: ['v/*'] }];
		at = to;
	}
	at.delegations = [];
	c.repo.fill(at, ['v/deep']);
	c.repo.victim = at;
	c.lookups = ['top/1', 'v/deep'];
}
attack('delegations-32-deep', ['targets'], undefined, (c) => {
	chain(c, 32);
	c.wants = { refresh: 'ok', lookups: { 'top/1': 'found', 'v/deep': 'found' } };
});
attack('delegations-33-deep', ['targets'], undefined, (c) => {
	chain(c, 33);
	c.wants = { refresh: 'ok', lookups: { 'top/1': 'found', 'v/deep': 'refused' } };
});
attack('delegation-listed-twice', ['victim'], 'refuse', (c) => {
	victimEntry(c, (e, d) => {
		d.roles.push({ ...e });
	});
	c.wants = { refresh: 'refused' };
});
attack('delegation-in-two-forms', ['victim'], undefined, (c) => {
	victimEntry(c, (e) => {
		e.path_hash_prefixes = ['00'];
	});
	c.wants = { refresh: 'refused' };
});
attack('delegation-of-nothing', ['victim'], undefined, (c) => {
	victimEntry(c, (e) => {
		delete e.paths;
	});
	c.wants = { refresh: 'refused' };
});
attack('delegation-without-terminating', ['victim'], undefined, (c) => {
	victimEntry(c, (e) => {
		if (c.random.chance(0.5)) delete e.terminating;
		else e.terminating = c.random.pick([0, 'no', null]);
	});
	c.wants = { refresh: 'refused' };
});
attack('delegation-of-a-top-level-role', ['victim'], undefined, (c) => {
	victimEntry(c, (e) => {
		e.name = c.random.pick(['root', 'targets', 'snapshot', 'timestamp']);
	});
	c.wants = { refresh: 'refused' };
});
attack('delegation-name-empty', ['victim'], undefined, (c) => {
	c.repo.victim.name = '';
	c.wants = { refresh: 'refused' };
});
attack('delegation-name-with-control-character', ['victim'], undefined, (c) => {
	c.repo.victim.name = 'a\u0007b';
	c.wants = { refresh: 'refused' };
});
attack('delegation-name-of-300-bytes', ['victim'], undefined, (c) => {
	c.repo.victim.name = 'n'.repeat(300);
	c.wants = { refresh: 'refused' };
});
alone('delegation-name-strange', ['victim'], 'accept', (c) => {
	c.repo.victim.name = c.random.pick(['../../up', 'a/b', '%2e', 'ключ', 'a b', '?x=1', '.', '..', '~']);
});
alone('delegation-named-as-a-method', ['victim'], 'accept', (c) => {
	c.repo.victim.name = c.random.pick(['constructor', 'toString', 'valueOf']);
});
alone('delegations-named-by-numbers', ['victim'], 'accept', (c) => {
	c.repo.victim.name = '7';
	const second = c.repo.node('3');
	c.repo.targets.delegations.splice(1, 99, { to: second, terminating: false, paths: ['b/*'] });
});
attack('delegations-neither-form', ['victim'], undefined, (c) => {
	victimEntry(c, (e, d) => {
		delete d.roles;
	});
	c.wants = { refresh: 'refused' };
});
attack('delegations-both-forms', ['victim'], undefined, (c) => {
	victimEntry(c, (e, d) => {
		d.succinct_roles = { keyids: e.keyids, threshold: 1, bit_length: 2, name_prefix: 'bin' };
	});
	c.wants = { refresh: 'refused' };
});
attack('delegations-empty', ['victim'], undefined, (c) => {
	signed(c, 'targets', (s) => {
		s.delegations = { keys: {}, roles: [] };
	});
	c.wants = { refresh: 'ok', lookups: { 'v/1': 'none', 'top/1': 'found' } };
});
attack('delegations-null', ['victim'], undefined, (c) => {
	set(c, 'targets', 'delegations', c.random.pick([null, 5, 'text']));
	c.wants = { refresh: 'refused' };
});
attack('delegations-without-keys', ['victim'], undefined, (c) => {
	victimEntry(c, (e, d) => {
		delete d.keys;
	});
	c.wants = { refresh: 'refused' };
});
attack('delegated-by-prefixes', ['victim'], undefined, (c) => {
	prefixes(c, [sha('sha256', 'v/1').slice(0, 3), sha('sha256', 'v/2')]);
	wantV1(c, 'found');
	c.lookups.push('v/2');
	c.wants.lookups['v/2'] = 'found';
});
attack('prefix-upper-case', ['victim'], undefined, (c) => {
	prefixes(c, [`${sha('sha256', 'v/1').slice(0, 3)}A`]);
	c.wants = { refresh: 'refused' };
});
attack('prefix-empty', ['victim'], undefined, (c) => {
	prefixes(c, ['']);
	c.wants = { refresh: 'refused' };
});
attack('prefixes-no-strings', ['victim'], undefined, (c) => {
	prefixes(c, [5]);
	c.wants = { refresh: 'refused' };
});
attack('prefix-of-another-path', ['victim'], undefined, (c) => {
	const first = sha('sha256', 'v/1');
	prefixes(c, [first.slice(0, 5) + (first[5] === 'a' ? 'b' : 'a')]);
	c.repo.targets.delegations.splice(1);
	wantV1(c, 'none');
});
function prefixes(c, list) {
	const d = c.repo.targets.delegations[0];
	delete d.paths;
	d.prefixes = list;
}
// What a pattern covers: `v/1` and the paths that follow, each with whether it is found.
function pattern(name, paths, targets) {
	attack(name, ['victim'], undefined, (c) => {
		c.repo.fill(c.repo.victim, Object.keys(targets));
		c.repo.targets.delegations.splice(0, 99, {
			to: c.repo.victim,
			terminating: false,
			paths: ['v/1', ...paths],
		});
		c.lookups.push(...Object.keys(targets));
		wantV1(c, 'found');
		for (const [path, covered] of Object.entries(targets))
			c.wants.lookups[path] = covered ? 'found' : 'none';
	});
}
pattern('pattern-star-stops-at-slash', ['w/*'], { 'w/a': true, 'w/a/b': false, w: false });
pattern('pattern-question-mark', ['w/?x'], { 'w/ax': true, 'w/x': false, 'w/aax': false, 'w/üx': true });
pattern('pattern-star-in-the-middle', ['w*/a*b*c'], { 'w/abc': true, 'w2/aXbXc': true, 'w/ab': false });
pattern('pattern-star-and-hidden-names', ['w/*'], { 'w/.hidden': true });
pattern('pattern-question-mark-beyond-the-first-plane', ['w/?'], { 'w/\u{1f600}': true });
pattern('pattern-brackets', ['w/[ab]'], { 'w/a': false });
pattern('pattern-brackets-to-the-letter', ['w/[ab]'], { 'w/[ab]': true });
pattern('pattern-braces', ['w/{a,b}'], { 'w/a': false });
pattern('pattern-exclamation-mark', ['w/!a'], { 'w/b': false });
pattern('pattern-number-sign', ['w/#a'], { 'w/#a': true });
pattern('pattern-plus-list', ['w/+(a|b)'], { 'w/ab': false });
pattern('pattern-two-stars', ['w/**'], { 'w/a': true, 'w/a/b': false });
pattern('pattern-backslash', ['w/a\\*'], { 'w/a*': false, 'w/a\\x': true });
pattern('pattern-of-all', ['*'], { w: true, 'w/a': false });
attack('paths-empty', ['victim'], undefined, (c) => {
	c.repo.targets.delegations.splice(0, 99, { to: c.repo.victim, terminating: false, paths: [] });
	wantV1(c, 'none');
});
attack('paths-no-strings', ['victim'], undefined, (c) => {
	victimEntry(c, (e) => {
		e.paths = c.random.pick([[5], 'v/*', [null], {}]);
	});
	c.wants = { refresh: 'refused' };
});
attack('two-delegators-other-keys', ['victim'], undefined, (c) => {
	// a and b both delegate to victim; the file is signed as a asks, and b asks for another key.
	const [a, b] = [c.repo.node('deleg-a'), c.repo.node('deleg-b')];
	a.delegations = [{ to: c.repo.victim, terminating: false, paths: ['v/1'] }];
	b.delegations = [
		{
			to: c.repo.victim,
			by: { keys: [c.ring.stranger], listed: () => ({ keyids: [c.ring.stranger.id], threshold: 1 }) },
			terminating: false,
			paths: ['v/2'],
		},
	];
	c.repo.targets.delegations = [
		{ to: a, terminating: false, paths: ['v/1'] },
		{ to: b, terminating: false, paths: ['v/2'] },
	];
	c.lookups.push('v/2');
	wantV1(c, 'found');
	c.wants.lookups['v/2'] = 'refused';
});
function bins(name, bits, wants, change = () => {}) {
	attack(name, ['targets'], undefined, (c) => {
		c.repo.bin(c.repo.targets, bits, 'bin', ['s/1', 's/2', 's/3']);
		c.repo.victim = c.repo.targets.bins.nodes[0];
		for (const path of ['s/1', 's/2', 's/3'])
			for (const node of c.repo.targets.bins.nodes) node.targets[path] = Buffer.from(path);
		c.lookups = ['s/1', 's/2', 's/3'];
		c.wants = {
			refresh: wants === 'malformed' ? 'refused' : 'ok',
			lookups: wants === 'malformed' ? {} : { 's/1': wants, 's/2': wants },
		};
		change(c);
	});
}
bins('bins-2', 1, 'found');
bins('bins-8', 3, 'found');
bins('bins-1024', 10, 'found');
bins('bins-2-to-32', 32, 'found');
bins('bins-bit-length-0', 1, 'malformed', (c) =>
	signed(c, 'targets', (s) => {
		s.delegations.succinct_roles.bit_length = 0;
	}),
);
bins('bins-bit-length-33', 1, 'malformed', (c) =>
	signed(c, 'targets', (s) => {
		s.delegations.succinct_roles.bit_length = 33;
	}),
);
bins('bins-bit-length-no-integer', 1, 'malformed', (c) =>
	signed(c, 'targets', (s) => {
		s.delegations.succinct_roles.bit_length = c.random.pick(['2', null, true]);
	}),
);
bins('bins-without-prefix', 1, 'malformed', (c) =>
	signed(c, 'targets', (s) => {
		delete s.delegations.succinct_roles.name_prefix;
	}),
);
bins('bins-wrong-width', 3, 'refused', (c) =>
	signed(c, 'targets', (s) => {
		s.delegations.succinct_roles.bit_length = 9;
	}),
);
bins('bins-threshold-short', 2, 'refused', (c) =>
	signed(c, 'targets', (s) => {
		s.delegations.succinct_roles.threshold = 9;
	}),
);
bins('bins-signed-by-another', 2, 'refused', (c) =>
	c.repo.targets.bins.nodes.forEach((n) => c.hook('signers', n.name, () => [c.ring.stranger])),
);
bins('bins-torn', 2, 'refused', (c) =>
	served(c, (files, _, repo) =>
		repo.targets.bins.nodes.forEach((n) => files.set(repo.fileName(n.name, n.version), Buffer.from('{}'))),
	),
);

// ---- our own members ----

attack('timestamp-signed-at', ['timestamp'], 'accept', (c) =>
	set(c, 'timestamp', 'x-meshanics-signed-at', iso(NOW - 60)),
);
attack('timestamp-signed-after-its-end', ['timestamp'], 'refuse', (c) =>
	signed(c, 'timestamp', (s) => {
		s['x-meshanics-signed-at'] = iso(Date.parse(s.expires) / 1000 + 1);
	}),
);

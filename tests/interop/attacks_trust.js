// Attacks on trust itself: signatures, keys, versions, roots, dates. See attack.js.
'use strict';
const { Raw, NOW, DAY, iso } = require('./repo');
const { sha } = require('./keys');
const {
	attack,
	later,
	signed,
	set,
	envelope,
	served,
	fileOf,
	serve,
	roleEntry,
	metaOf,
	keysOf,
	flip,
	ALL,
} = require('./attack');

// ---- signatures (5.3.4, 5.4.2, 5.5.3, 5.6.3) ----

attack('signature-flipped', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e) =>
		e.signatures.forEach((s) => {
			s.sig = flip(s.sig);
		}),
	),
);
attack('signature-by-stranger', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e, bytes) =>
		e.signatures.forEach((s) => {
			s.sig = c.ring.stranger.sign(bytes).toString('hex');
		}),
	),
);
attack('signature-of-other-content', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e) => {
		e.signed.expires = iso(NOW + 999 * DAY);
	}),
);
attack('threshold-short', ALL, 'refuse', (c, role) => {
	keysOf(c, role, c.ring.draw(c.random, 3), 3);
	c.hook('signers', role, (list) => list.slice(1));
});
attack('signatures-none', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e) => {
		e.signatures = [];
	}),
);
attack('signature-repeated', ALL, 'refuse', (c, role) => {
	keysOf(c, role, c.ring.draw(c.random, 2), 2);
	envelope(c, role, (e) => {
		e.signatures = [e.signatures[0], e.signatures[0]];
	});
});
attack('signature-repeated-beside-enough', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e) => e.signatures.push(e.signatures[0])),
);
attack('signature-empty-beside-enough', ALL, 'accept', (c, role) =>
	envelope(c, role, (e) => e.signatures.unshift({ keyid: c.ring.stranger.id, sig: '' })),
);
attack('signature-of-unknown-key', ALL, 'accept', (c, role) =>
	envelope(c, role, (e, bytes) =>
		e.signatures.unshift({ keyid: c.ring.stranger.id, sig: c.ring.stranger.sign(bytes).toString('hex') }),
	),
);
attack('signature-with-more-members', ALL, 'accept', (c, role) =>
	envelope(c, role, (e) =>
		e.signatures.forEach((s) => {
			s.note = { a: 1 };
		}),
	),
);
attack('signature-upper-case', ALL, 'accept', (c, role) =>
	envelope(c, role, (e) =>
		e.signatures.forEach((s) => {
			s.sig = s.sig.toUpperCase();
		}),
	),
);
attack('signature-with-tail', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e) =>
		e.signatures.forEach((s) => {
			s.sig += ' tail';
		}),
	),
);
attack('signature-no-string', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e) => {
		e.signatures[0].sig = c.random.pick([5, null, {}, ['00']]);
	}),
);
attack('signature-keyid-no-string', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e) => {
		e.signatures[0].keyid = c.random.pick([5, null, {}]);
	}),
);
attack('signatures-no-array', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e) => {
		e.signatures = c.random.pick([null, {}, 'none', 7]);
	}),
);
attack('signature-by-another-role', ['timestamp', 'snapshot', 'targets'], 'refuse', (c, role) =>
	c.hook('signers', role, () =>
		[c.repo.roles[role === 'timestamp' ? 'snapshot' : 'timestamp'].keys[0]].filter(
			(k) => !c.repo.roles[role].keys.includes(k),
		),
	),
);
attack('role-as-another', ['timestamp', 'snapshot', 'targets', 'victim'], 'refuse', (c, role) =>
	set(c, role, '_type', role === 'targets' || role === 'victim' ? 'snapshot' : 'targets'),
);
attack('file-of-another-role', ['snapshot', 'targets', 'victim'], 'refuse', (c, role) =>
	served(c, (files) => files.set(fileOf(c, role), files.get('timestamp.json'))),
);

// ---- keys (4.2, 4.3) ----

attack('one-key-under-two-ids', ALL, 'refuse', (c, role) => {
	const key = c.random.pick(c.ring.ed);
	keysOf(c, role, [key, key.as({ 'x-twin': 1 })], 2);
});
attack('keyid-chosen-freely', ['timestamp', 'snapshot', 'targets', 'victim'], 'refuse', (c, role) => {
	const key = Object.assign(c.random.pick(c.ring.ed).as({}), { id: sha('sha256', 'free') });
	keysOf(c, role, [key], 1);
	c.wants = { refresh: 'refused' };
});
attack('keyid-not-hex', ['timestamp', 'snapshot', 'victim'], 'refuse', (c, role) => {
	keysOf(c, role, [Object.assign(c.random.pick(c.ring.ed).as({}), { id: 'release-key' })], 1);
	c.wants = { refresh: 'refused' };
});
attack('keyid-listed-twice', ALL, 'refuse', (c, role) => {
	roleEntry(c, role, (entry) => entry.keyids.push(entry.keyids[0]));
	c.wants = { refresh: role === 'victim' ? 'ok' : 'refused', lookups: { 'v/1': 'refused' } };
});
attack('keyid-without-key', ALL, 'accept', (c, role) =>
	roleEntry(c, role, (entry) => entry.keyids.push(sha('sha256', 'nobody'))),
);
attack('key-of-unknown-scheme', ALL, 'accept', (c, role) =>
	roleEntry(c, role, (entry, keys) => {
		const odd = c.ring.stranger.as({ keytype: 'lattice', scheme: 'lattice-7' });
		keys[odd.id] = odd.object;
		entry.keyids.push(odd.id);
	}),
);
attack('key-with-more-members', ALL, 'accept', (c, role) =>
	keysOf(
		c,
		role,
		[
			c.random
				.pick(c.ring.ed)
				.as({ keyid_hash_algorithms: ['sha256', 'sha512'], 'x-tuf-on-ci-keyowner': '@me' }),
		],
		1,
	),
);
attack('keyval-with-number', ALL, 'accept', (c, role) => {
	const key = c.random.pick(c.ring.ed);
	keysOf(c, role, [key.as({ keyval: { public: key.material, bits: 256 } })], 1);
});
attack('key-incomplete', ['timestamp', 'victim'], 'refuse', (c, role) => {
	const key = c.random.pick(c.ring.ed);
	const lame = key.as({ 'x-lame': 1 });
	delete lame.object[c.random.pick(['keytype', 'scheme', 'keyval'])];
	keysOf(c, role, [lame], 1);
	c.wants = { refresh: 'refused' };
});
attack('key-p384', ALL, 'accept', (c, role) => keysOf(c, role, [c.random.pick(c.ring.p384)], 1));
attack('key-p256-point-in-hex', ALL, 'accept', (c, role) => {
	const key = c.random.pick(c.ring.p256);
	keysOf(c, role, [key.as({ keyval: { public: key.point.toString('hex') } })], 1);
});
attack('key-upper-case', ALL, 'accept', (c, role) => {
	const key = c.random.pick(c.ring.ed);
	keysOf(c, role, [key.as({ keyval: { public: key.material.toUpperCase() } })], 1);
});
attack('key-ed25519-in-pem', ALL, 'refuse', (c, role) => {
	const key = c.random.pick(c.ring.ed);
	const pem = require('crypto').createPublicKey(key.secret).export({ format: 'pem', type: 'spki' });
	keysOf(c, role, [key.as({ keyval: { public: pem } })], 1);
});
attack('key-rsa-1024', ALL, 'refuse', (c, role) => keysOf(c, role, [c.ring.weak], 1));
attack('key-type-confused', ALL, 'refuse', (c, role) => {
	const key = c.random.pick(c.ring.p256);
	keysOf(c, role, [key.as({ keytype: 'rsa', scheme: 'rsassa-pss-sha256' })], 1);
});
attack('threshold-zero', ALL, 'refuse', (c, role) => {
	roleEntry(c, role, (entry) => {
		entry.threshold = c.random.pick([0, -1]);
	});
	c.wants = { refresh: 'refused' };
});
attack('threshold-no-integer', ALL, 'refuse', (c, role) => {
	roleEntry(c, role, (entry) => {
		entry.threshold = c.random.pick(['1', true, null, [1], new Raw('1.5')]);
	});
	c.wants = { refresh: 'refused' };
});
attack('threshold-beyond-keys', ALL, 'refuse', (c, role) =>
	roleEntry(c, role, (entry) => {
		entry.threshold = entry.keyids.length + 1;
	}),
);

// ---- versions ----

attack('version-zero', ['timestamp', 'root'], 'refuse', (c, role) => set(c, role, 'version', 0));
attack('version-negative', ['timestamp', 'root'], 'refuse', (c, role) => set(c, role, 'version', -3));
attack('version-zero-listed', ['snapshot', 'targets', 'victim'], 'refuse', (c, role) => {
	c.repo.byName(role).version = 0;
	c.wants = { refresh: 'refused' };
});
attack('version-no-number', ALL, 'refuse', (c, role) =>
	set(c, role, 'version', c.random.pick([true, '1', null, [1], {}])),
);
attack('version-broken', ALL, 'refuse', (c, role) => set(c, role, 'version', new Raw('1.5')));
attack('version-with-fraction', ['timestamp', 'snapshot', 'targets', 'victim'], 'refuse', (c, role) =>
	signed(c, role, (s) => {
		s.version = new Raw(c.random.pick([`${s.version}.0`, `${s.version}e0`]), String(s.version), s.version);
	}),
);
attack('version-beyond-2-53', ['timestamp'], 'refuse', (c, role) =>
	set(c, role, 'version', new Raw('9007199254740992')),
);
attack('version-beyond-2-64', ['timestamp'], 'refuse', (c, role) =>
	set(c, role, 'version', new Raw('18446744073709551616')),
);
later(
	'version-back',
	['timestamp', 'snapshot', 'targets', 'victim'],
	'refuse',
	(c, role) => {
		c.repo.byName(role).version = c.before.versions[role] - 1;
		c.wants = { refresh: 'refused' };
	},
	{
		prepare: (c, role) => {
			c.repo.byName(role).version += 5;
		},
	},
);
later('nothing-new', ['timestamp'], 'accept', () => {}, { still: true });
later(
	'timestamp-same-version-other-content',
	['timestamp'],
	'accept',
	(c) => set(c, 'timestamp', 'x-note', 'another'),
	{ still: true },
);
attack('version-not-as-listed', ['snapshot', 'targets', 'victim'], 'refuse', (c, role) =>
	metaOf(c, role, (m) => {
		m.version += 9;
		served(c, (files, _, repo) => files.set(repo.fileName(role, m.version), files.get(fileOf(c, role))));
	}),
);
later(
	'timestamp-names-older-snapshot',
	['timestamp'],
	'refuse',
	(c) =>
		metaOf(c, 'snapshot', (m) => {
			m.version = c.before.versions.snapshot - 1;
		}),
	{
		prepare: (c) => {
			c.repo.roles.snapshot.version += 2;
		},
	},
);

// ---- roots (5.3) ----

attack('root-version-skips', ['root'], 'refuse', (c) =>
	signed(c, 'root', (s) => {
		s.version++;
	}),
);
// By the letter of 5.3.5 this one may be passed over; every client known to us ends the update, and so do we.
attack('root-version-repeats', ['root'], 'refuse', (c) =>
	signed(c, 'root', (s) => {
		s.version--;
	}),
);
attack('root-only-by-new-keys', ['root'], 'refuse', (c) => {
	keysOf(c, 'root', [c.ring.stranger], 1);
	c.hook('signers', 'root', () => [c.ring.stranger]);
});
attack('root-only-by-old-keys', ['root'], 'refuse', (c) => {
	keysOf(c, 'root', [c.ring.stranger], 1);
	c.hook('signers', 'root', (list) => list.filter((k) => k.id !== c.ring.stranger.id));
});
attack('root-threshold-raised-unmet', ['root'], 'refuse', (c) => {
	roleEntry(c, 'root', (entry) => {
		entry.threshold += 5;
	});
});
attack('root-chain-gap', ['root'], undefined, (c) => {
	// The next root is not there, the one after it is: the client stays where it is, and the repository moved on.
	const gap = c.repo.roles.root.version;
	c.repo.publish(c.hooks);
	c.repo.rotate(['timestamp']);
	keysOf(c, 'timestamp', [c.ring.stranger], 1);
	served(c, (files) => files.delete(`${gap}.root.json`));
	c.wants = { refresh: 'refused' };
});
attack('root-chain-long', ['root'], 'accept', (c) => {
	for (let i = 0; i < 12; i++) {
		c.repo.publish({});
		c.repo.rotate(c.random.some(['root', 'timestamp', 'snapshot', 'targets'], 2));
	}
});
attack('root-expired-on-the-way', ['root'], 'accept', (c) => {
	c.repo.roles.root.expires = iso(NOW - 400 * DAY);
	c.repo.publish({});
	c.repo.rotate();
	c.repo.roles.root.expires = iso(NOW + 90 * DAY);
});
attack('root-role-missing', ['timestamp', 'snapshot', 'targets', 'root'], 'refuse', (c, role) => {
	signed(c, 'root', (s) => {
		delete s.roles[role];
	});
	c.wants = { refresh: 'refused' };
});
attack('root-role-mirrors', ['root'], 'accept', (c) =>
	signed(c, 'root', (s) => {
		s.roles.mirrors = s.roles.timestamp;
	}),
);
attack('root-role-unknown', ['root'], 'refuse', (c) =>
	signed(c, 'root', (s) => {
		s.roles.publisher = s.roles.timestamp;
	}),
);
attack('root-site-appears', ['root'], 'refuse', (c) => set(c, 'root', 'x-meshanics', { site: 'depot-7' }));
attack('root-site-malformed', ['root'], 'refuse', (c) =>
	set(c, 'root', 'x-meshanics', c.random.pick([5, { site: 'No Name' }, {}])),
);
attack('root-consistent-snapshot-absent', ['root'], 'accept', (c) => {
	c.repo.consistent = false;
	signed(c, 'root', (s) => {
		delete s.consistent_snapshot;
	});
});
attack('root-consistent-snapshot-no-boolean', ['root'], 'refuse', (c) =>
	set(c, 'root', 'consistent_snapshot', c.random.pick([1, 'true', null])),
);
attack('root-forbidden', ['root'], 'accept', (c) => serve(c, 'root', () => 403));
attack('root-withheld', ['root'], 'accept', (c) => serve(c, 'root', () => undefined));
attack('root-server-error', ['root'], 'refuse', (c) => serve(c, 'root', () => c.random.pick([500, 503, 400, 429])));
// A stolen key had signed a version far ahead; a root that takes the key away makes it void (5.3.11). That of targets
// stands in the snapshot, and goes with the snapshot's key.
function fastForward(name, after) {
	const holder = (role) => (role === 'targets' ? 'snapshot' : role);

	later(
		name,
		['timestamp', 'snapshot', 'targets'],
		'accept',
		(c, role) => {
			keysOf(c, holder(role), after(c), 1);
			c.repo.roles[role].version = 3;
		},
		{
			prepare: (c, role) => {
				c.pair = c.random.some(c.ring.ed, 3);
				keysOf(c, holder(role), c.pair.slice(0, 2), 1);
				c.repo.roles[role].version = 2 ** 40;
			},
		},
	);
}
fastForward('fast-forward-recovered', (c) => [c.pair[2]]);
fastForward('fast-forward-one-key-of-two-removed', (c) => [c.pair[0]]);

// ---- expiry (5.3.10, 5.4.4, 5.5.6, 5.6.5) ----

attack('expired', ALL, 'refuse', (c, role) => {
	c.repo.byName(role).expires = iso(NOW - c.random.pick([1, 60, 86400, 40000000]));
});
attack('expired-this-second', ALL, 'refuse', (c, role) => {
	c.repo.byName(role).expires = iso(NOW);
});
attack('expires-next-second', ALL, 'accept', (c, role) => {
	c.repo.byName(role).expires = iso(NOW + 1);
});
attack('expires-never', ALL, 'refuse', (c, role) => set(c, role, 'expires', c.random.pick(['never', '', 'soon'])));
attack('expires-in-other-words', ALL, 'refuse', (c, role) =>
	set(
		c,
		role,
		'expires',
		c.random.pick([
			'2027-09-01T00:00:00.000Z',
			'2027-09-01T00:00:00+00:00',
			'2027-09-01',
			'2027-09-01 00:00:00Z',
			'Sep 1 2027',
			'2027-09-01T00:00:00z',
		]),
	),
);
attack('expires-on-no-day', ALL, 'refuse', (c, role) =>
	set(
		c,
		role,
		'expires',
		c.random.pick([
			'2027-02-30T00:00:00Z',
			'2027-13-01T00:00:00Z',
			'2027-06-01T24:00:00Z',
			'2027-06-01T12:60:00Z',
		]),
	),
);
attack('expires-no-string', ALL, 'refuse', (c, role) =>
	set(c, role, 'expires', c.random.pick([1900000000, null, {}, true])),
);
later(
	'frozen-and-expired',
	['timestamp', 'snapshot', 'targets'],
	'refuse',
	(c, role) => {
		c.now = Date.parse(c.repo.roles[role].expires) / 1000;
	},
	{ still: true },
);

// Attacks on files: what the parent file says of them, old and new ones mixed, and their text. See attack.js.
'use strict';
const { Raw } = require('./repo');
const { sha } = require('./keys');
const {
	attack,
	later,
	signed,
	set,
	text,
	envelope,
	served,
	serve,
	metaOf,
	victimEntry,
	wantV1,
	flipBytes,
	ALL,
	ONLINE,
} = require('./attack');

// ---- what the parent file says (5.5.2, 5.6.2) ----

const listed = ['snapshot', 'targets', 'victim'];
attack('length-too-long', listed, 'refuse', (c, role) =>
	metaOf(c, role, (m) => {
		m.length = (m.length ?? 9000) + 1;
	}),
);
attack('length-too-short', listed, 'refuse', (c, role) =>
	metaOf(c, role, (m) => {
		m.length = 40;
	}),
);
attack('length-negative', listed, 'refuse', (c, role) => {
	metaOf(c, role, (m) => {
		m.length = -1;
	});
	c.wants = { refresh: 'refused' };
});
attack('length-no-integer', listed, 'refuse', (c, role) => {
	metaOf(c, role, (m) => {
		m.length = c.random.pick(['90', null, [], new Raw('90.5')]);
	});
	c.wants = { refresh: 'refused' };
});
attack('hash-of-other-bytes', listed, 'refuse', (c, role) =>
	metaOf(c, role, (m) => {
		m.hashes = { sha256: sha('sha256', 'other') };
	}),
);
attack('one-hash-of-two-wrong', listed, 'refuse', (c, role) =>
	serveAs(c, role, (bytes) => ({ sha256: sha('sha256', bytes), sha512: sha('sha512', 'other') })),
);
attack('hash-upper-case', listed, 'accept', (c, role) =>
	serveAs(c, role, (bytes) => ({ sha256: sha('sha256', bytes).toUpperCase() })),
);
attack('hash-unknown-only', listed, 'refuse', (c, role) => serveAs(c, role, () => ({ blake7: 'aa' })));
attack('hash-unknown-beside-known', listed, 'accept', (c, role) =>
	serveAs(c, role, (bytes) => ({ blake7: 'aa', sha256: sha('sha256', bytes) })),
);
attack('hash-weak-only', listed, 'refuse', (c, role) =>
	serveAs(c, role, (bytes) => ({ [c.random.pick(['md5', 'sha1'])]: null }), true),
);
attack('hashes-empty', listed, 'refuse', (c, role) => {
	metaOf(c, role, (m) => {
		m.hashes = {};
	});
	c.wants = { refresh: 'refused' };
});
attack('hash-no-string', listed, 'refuse', (c, role) => {
	metaOf(c, role, (m) => {
		m.hashes = c.random.pick([{ sha256: 5 }, { sha256: null }, 'sha256', 7]);
	});
	c.wants = { refresh: 'refused' };
});
attack('hash-cut-short', listed, 'refuse', (c, role) => {
	metaOf(c, role, (m) => {
		m.hashes = { sha256: 'ab12' };
	});
	c.wants = { refresh: 'refused' };
});
// The parent lists hashes made by fn from the file's own bytes; weak: the named algorithms, computed.
function serveAs(c, role, fn, weak) {
	let bytes;
	text(c, role, (t) => {
		bytes = Buffer.from(t);
		return t;
	});
	metaOf(c, role, (m) => {
		m.hashes = fn(bytes);
		if (weak) for (const kind of Object.keys(m.hashes)) m.hashes[kind] = sha(kind, bytes);
	});
}
attack('metadata-byte-flipped', ALL, 'refuse', (c, role) =>
	// The last digit of a date, so that it is still metadata.
	serve(c, role, (b) => flipBytes(b, b.indexOf('T', b.indexOf('"expires"')) - 1)),
);
attack('metadata-cut', ALL, 'refuse', (c, role) => serve(c, role, (b) => b.subarray(0, b.length - 1)));
attack('metadata-empty', ALL, 'refuse', (c, role) => serve(c, role, () => Buffer.alloc(0)));
attack('metadata-missing', ONLINE, 'refuse', (c, role) => serve(c, role, () => undefined));
attack('metadata-server-error', ONLINE, 'refuse', (c, role) => serve(c, role, () => 500));
attack('white-space-behind', ALL, 'accept', (c, role) => text(c, role, (t) => `${t} \n\t\r\n`));
attack('timestamp-too-large', ['timestamp'], 'refuse', (c) =>
	text(c, 'timestamp', (t) => t + ' '.repeat(16385 - t.length)),
);
attack('timestamp-largest', ['timestamp'], 'accept', (c) =>
	text(c, 'timestamp', (t) => t + ' '.repeat(16384 - Buffer.byteLength(t))),
);
attack('root-of-510-kib', ['root'], 'accept', (c) =>
	text(c, 'root', (t) => t + ' '.repeat(510 * 1024 - Buffer.byteLength(t))),
);
attack('root-too-large', ['root'], 'refuse', (c) =>
	text(c, 'root', (t) => t + ' '.repeat(513 * 1024 - Buffer.byteLength(t))),
);

// ---- old and new mixed (5.5.4, 5.5.5, 5.6.4) ----

later(
	'whole-repository-replayed',
	['timestamp'],
	'refuse',
	(c) =>
		served(c, (files) => {
			files.clear();
			c.ancient.files.forEach((bytes, name) => files.set(name, bytes));
		}),
	{
		prepare: (c) => {
			c.ancient = c.repo.publish({});
			c.repo.evolve();
		},
	},
);
later('old-file-under-new-name', ['snapshot', 'targets', 'victim'], 'refuse', (c, role) => {
	c.repo.bump(c.repo.byName(role));
	serve(c, role, () => c.before.files.get(c.before.names[role]));
});
later('snapshot-drops-role', ['victim', 'targets'], 'refuse', (c, role) => {
	signed(c, 'snapshot', (s) => {
		delete s.meta[`${role}.json`];
	});
	c.wants = { refresh: 'refused' };
});
later('snapshot-keeps-gone-role', ['victim'], undefined, (c) => {
	c.repo.targets.delegations.shift();
	signed(c, 'snapshot', (s) => {
		s.meta['victim.json'] = { version: c.repo.victim.version };
	});
	c.wants = { refresh: 'ok', lookups: { 'top/1': 'found' } };
});
attack('snapshot-never-had-role', ['victim'], undefined, (c) => {
	signed(c, 'snapshot', (s) => {
		delete s.meta['victim.json'];
	});
	wantV1(c, 'refused');
});
attack('snapshot-without-targets', ['targets'], 'refuse', (c) =>
	signed(c, 'snapshot', (s) => {
		delete s.meta['targets.json'];
	}),
);
attack('snapshot-odd-name', ['snapshot'], 'refuse', (c) =>
	signed(c, 'snapshot', (s) => {
		s.meta[c.random.pick(['notes', 'x.txt'])] = { version: 1 };
	}),
);
attack('timestamp-lists-more', ['timestamp'], 'accept', (c) =>
	signed(c, 'timestamp', (s) => {
		s.meta['targets.json'] = { version: 1 };
	}),
);
attack('timestamp-without-snapshot', ['timestamp'], 'refuse', (c) =>
	signed(c, 'timestamp', (s) => {
		s.meta = {};
	}),
);

// ---- the format (4.1 to 4.5) ----

attack('spec-version-2', ALL, 'refuse', (c, role) =>
	set(c, role, 'spec_version', c.random.pick(['2.0.0', '0.9.0', '10.0.0'])),
);
attack('spec-version-1.1', ALL, 'accept', (c, role) =>
	set(c, role, 'spec_version', c.random.pick(['1.1.0', '1.0.0', '1.0', '1.99.7'])),
);
attack('spec-version-short', ALL, 'accept', (c, role) => set(c, role, 'spec_version', '1'));
attack('spec-version-no-number', ALL, 'refuse', (c, role) =>
	set(c, role, 'spec_version', c.random.pick(['1.x.0', 'one', '1.0.0.0'])),
);
attack('spec-version-number-to-javascript', ALL, 'refuse', (c, role) =>
	set(c, role, 'spec_version', c.random.pick(['1.0x10.0', '1..0', '1.-3', '1. 0 '])),
);
attack('spec-version-no-string', ALL, 'refuse', (c, role) =>
	set(c, role, 'spec_version', c.random.pick([1, null, {}, true])),
);
const OWN = {
	root: ['keys', 'roles'],
	timestamp: ['meta'],
	snapshot: ['meta'],
	targets: ['targets'],
	victim: ['targets'],
};
attack('member-missing', ALL, 'refuse', (c, role) =>
	signed(c, role, (s) => {
		delete s[c.random.pick(['_type', 'version', 'expires', 'spec_version', ...OWN[role]])];
	}),
);
attack('member-of-wrong-type', ALL, 'refuse', (c, role) =>
	signed(c, role, (s) => {
		s[c.random.pick(OWN[role])] = c.random.pick([null, 5, 'text', [], true]);
	}),
);
attack('signed-no-object', ALL, 'refuse', (c, role) =>
	envelope(c, role, (e) => {
		e.signed = c.random.pick([null, [], 'text', 3]);
	}),
);
attack('no-object-at-all', ALL, 'refuse', (c, role) =>
	text(c, role, () => c.random.pick(['null', '[]', '"x"', '5', '', '{}'])),
);
attack('unknown-members', ALL, 'accept', (c, role) => {
	signed(c, role, (s) => {
		s['x-more'] = { list: [1, 'a', null, true, { deep: [] }], ключ: 'значение', n: -5 };
	});
	envelope(c, role, (e) => {
		e['x-around'] = 1;
	});
});
attack('unknown-members-inside', ['timestamp', 'targets', 'victim', 'root'], 'accept', (c, role) =>
	signed(c, role, (s) => {
		if (role === 'root') s.roles.targets['x-why'] = 'because';
		else if (role === 'timestamp') s.meta['snapshot.json']['x-why'] = 'because';
		else if (role === 'targets') Object.assign(s.delegations, { 'x-why': 'because' });
		else s.targets['v/1']['x-why'] = { a: [1] };
	}),
);
attack('unknown-members-in-delegation', ['victim'], 'accept', (c) =>
	victimEntry(c, (entry) => {
		entry['x-why'] = 'because';
	}),
);
attack('fraction-in-unknown-member', ALL, 'refuse', (c, role) => set(c, role, 'x-ratio', new Raw('0.5')));
attack('whole-number-with-fraction-in-unknown-member', ALL, 'refuse', (c, role) =>
	set(c, role, 'x-ratio', new Raw('5.0', '5')),
);
attack('number-beyond-2-53-in-unknown-member', ALL, 'accept', (c, role) =>
	set(c, role, 'x-big', new Raw('9007199254740993')),
);
attack('number-beyond-2-63-in-unknown-member', ALL, 'refuse', (c, role) =>
	set(c, role, 'x-big', new Raw('9223372036854775808')),
);
attack('minus-zero', ALL, 'refuse', (c, role) => set(c, role, 'x-zero', new Raw('-0', '0')));
attack('leading-zero', ALL, 'refuse', (c, role) => set(c, role, 'x-zero', new Raw('01', '1')));
attack('member-twice', ALL, 'refuse', (c, role) => text(c, role, (t) => t.replace(/"_type":/, '"_type":"x","_type":')));
attack('envelope-member-twice', ALL, 'refuse', (c, role) => text(c, role, (t) => t.replace(/\{/, '{"signed":{},')));
attack('text-behind', ALL, 'refuse', (c, role) => text(c, role, (t) => `${t}{}`));
attack('byte-order-mark', ALL, 'refuse', (c, role) => text(c, role, (t) => `\ufeff${t}`));
attack('bad-utf-8', ALL, 'refuse', (c, role) => {
	// Signed as a reader sees it who replaces the bad byte.
	set(c, role, 'x-bad', '\ufffd');
	rawText(c, role, '\ufffd', Buffer.from([0xff]));
});
attack('half-a-surrogate', ALL, 'refuse', (c, role) => set(c, role, 'x-half', new Raw('"\\ud83d"', '"\ufffd"')));
attack('nested-100-deep', ALL, 'refuse', (c, role) =>
	set(c, role, 'x-deep', new Raw('['.repeat(100) + ']'.repeat(100))),
);
attack('nested-50-deep', ALL, 'accept', (c, role) => set(c, role, 'x-deep', new Raw('['.repeat(50) + ']'.repeat(50))));
attack('control-characters', ALL, 'accept', (c, role) =>
	set(c, role, 'x-text', 'line\nline\ttab \u0001 quote " back \\ end'),
);
attack('escapes', ALL, 'accept', (c, role) =>
	set(c, role, 'x-text', new Raw('"\\u0041\\u00fc\\/\\ud83d\\ude00"', '"Aü/😀"')),
);
attack('keys-beyond-the-first-plane', ALL, 'accept', (c, role) =>
	set(c, role, 'x-order', { '\u{1f600}': 1, '\ufb01': 2, a: 3 }),
);
attack('keys-in-utf-16-order', ALL, 'refuse', (c, role) => {
	set(c, role, 'x-order', { '\u{1f600}': 1, '\ufb01': 2, a: 3 });
	(c.hooks.order ??= {})[role] = (a, b) => (a[0] < b[0] ? -1 : 1);
});
attack('members-in-another-order', ALL, 'accept', (c, role) =>
	envelope(c, role, (e) => {
		e.signed = Object.fromEntries(Object.entries(e.signed).reverse());
	}),
);
attack('signed-over-unsorted-members', ALL, 'refuse', (c, role) => {
	(c.hooks.order ??= {})[role] = (a, b) => (a[0] < b[0] ? 1 : -1);
});
attack('line-ends-for-windows', ALL, 'accept', (c, role) => text(c, role, (t) => t.replace(/,"/g, ',\r\n"')));
// Bytes that no JavaScript string can hold, put into the served file in place of a marker; no parent file lists hashes.
function rawText(c, role, marker, bytes) {
	c.repo.meta = [];
	serve(c, role, (b) => {
		const at = b.indexOf(marker);
		return Buffer.concat([b.subarray(0, at), bytes, b.subarray(at + Buffer.byteLength(marker))]);
	});
}

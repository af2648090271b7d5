// What an attacker, a careless repository or a hostile mirror may do to the last publication of a case: the handles by
// which the attacks of attacks_*.js take hold of it.
//
// An attack is {name, roles, expect, go(c, role)} and more. Of roles one is taken in turn; `victim` stands for a
// delegated role. expect: what our client must say, whatever the other one says:
//
//	refuse		nothing of that role's file is believed: the update fails, or for the victim the search of v/1
//	accept		the repository is in order: v/1 and top/1 are found
//	(none)		go says what comes of it, in c.wants: {refresh, lookups: {path: verdict}}
//
// go fills in c.hooks (see repo.js) and may change c.repo. Further members:
//
//	old		the client has seen an earlier publication, c.before; c.repo has moved on from it
//	still		so it has, but c.repo has not moved on
//	prepare(c, role)	what has to be so before that publication
//	alone		there was none before: go changes the shape of the repository
//	heals		afterwards the next honest publication is taken
'use strict';
const { sha } = require('./keys');

const ALL = ['timestamp', 'snapshot', 'targets', 'victim', 'root'];
const ONLINE = ['timestamp', 'snapshot', 'targets', 'victim'];
const PARENT = { timestamp: 'root', snapshot: 'root', targets: 'root', root: 'root', victim: 'targets' };
const catalogue = [];

function attack(name, roles, expect, go, more = {}) {
	catalogue.push({ name, roles, expect, go, ...more });
}
// The client has seen a good publication before this one.
function later(name, roles, expect, go, more = {}) {
	attack(name, roles, expect, go, { old: true, ...more });
}
// Nothing before it: it has changed the shape of the repository, and a snapshot may not forget a role.
function alone(name, roles, expect, go) {
	attack(name, roles, expect, go, { alone: true });
}

// ---- handles ----

function signed(c, role, fn) {
	c.hook('signed', role, (s) => fn(s) ?? s);
}
function set(c, role, member, value) {
	signed(c, role, (s) => {
		s[member] = value;
	});
}
function text(c, role, fn) {
	c.hook('text', role, fn);
}
function envelope(c, role, fn) {
	c.hook('envelope', role, (e, bytes) => {
		fn(e, bytes);
		return e;
	});
}
function served(c, fn) {
	const before = c.hooks.served;
	c.hooks.served = (files, targets, repo) => {
		before?.(files, targets, repo);
		fn(files, targets, repo);
	};
}
// The name under which a role's current file is served.
function fileOf(c, role) {
	const r = c.repo.byName(role);
	return role === 'root' ? `${r.version}.root.json` : c.repo.fileName(role, r.version);
}
function serve(c, role, fn) {
	served(c, (files) => {
		const name = fileOf(c, role),
			now = fn(files.get(name));
		if (now === undefined) files.delete(name);
		else files.set(name, now);
	});
}
// The delegator's (or the root's) entry that names a role's keys.
function roleEntry(c, role, fn) {
	signed(c, PARENT[role], (s) => {
		fn(
			role === 'victim' ? s.delegations.roles[0] : s.roles[role],
			role === 'victim' ? s.delegations.keys : s.keys,
			s,
		);
	});
}
// The description of snapshot in timestamp, or of a targets role in snapshot.
function metaOf(c, role, fn) {
	signed(c, role === 'snapshot' ? 'timestamp' : 'snapshot', (s) => {
		fn(s.meta[`${role}.json`], s.meta);
	});
}
function keysOf(c, role, keys, threshold) {
	const r = c.repo.byName(role);
	if (role === 'root') c.repo.rootBefore ??= { keys: r.keys, threshold: r.threshold };
	r.keys = keys;
	r.threshold = threshold;
}
function victimEntry(c, fn) {
	signed(c, 'targets', (s) => {
		fn(s.delegations.roles[0], s.delegations, s);
	});
}
function targetEntry(c, fn) {
	signed(c, 'victim', (s) => {
		fn(s.targets['v/1'], s.targets);
	});
}
function victimFile(c, fn) {
	served(c, (files, targets, repo) => {
		const bytes = repo.victim.targets['v/1'];
		const names = repo.consistent ? repo.victim.hashes.map((k) => `v/${sha(k, bytes)}.1`) : ['v/1'];
		for (const name of names) {
			const now = fn(bytes);
			if (now === undefined) targets.delete(name);
			else targets.set(name, now);
		}
	});
}
function wantV1(c, verdict) {
	c.wants = { refresh: 'ok', lookups: { 'v/1': verdict, 'top/1': 'found' } };
}
// A target in the victim's file by another name, which the delegation covers.
function extraTarget(c, path, pattern) {
	c.repo.fill(c.repo.victim, [path]);
	c.repo.targets.delegations[0].paths.push(pattern);
	c.lookups.push(path);
}
function flip(hex) {
	return hex.slice(0, 20) + (hex[20] === '0' ? '1' : '0') + hex.slice(21);
}
function flipBytes(bytes, at = 0) {
	const out = Buffer.concat([bytes, bytes.length === 0 ? Buffer.from('x') : Buffer.alloc(0)]);
	out[at] ^= 1;
	return out;
}

module.exports = {
	catalogue,
	attack,
	later,
	alone,
	signed,
	set,
	text,
	envelope,
	served,
	fileOf,
	serve,
	roleEntry,
	metaOf,
	keysOf,
	victimEntry,
	targetEntry,
	victimFile,
	wantV1,
	extraTarget,
	flip,
	flipBytes,
	ALL,
	ONLINE,
	PARENT,
};

// Make a repository with the models of tuf-js (@tufjs/models): its classes say what metadata is, its canonical JSON is
// what is signed, node's crypto signs.
//
//	node models.js KIND KEYS OUT
//
// KIND: flat, paths, prefixes, bins, plain (no consistent snapshot), roots, unknown, unicode. KEYS: ed25519, ecdsa, rsa or mixed.
// OUT/metadata and OUT/targets are to be served; OUT/root.json is the first root; OUT/expect says, a line each,
// `PATH<tab>ROLE` for what must be found and `PATH<tab>-` for what must not.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const models = path.join(process.env.INTEROP_MODULES, '@tufjs/models');
const { Metadata, Root, Timestamp, Snapshot, Targets, TargetFile, MetaFile, Key, Signature } = require(models);
const { Role, DelegatedRole, SuccinctRoles } = require(path.join(models, 'dist/role.js'));
const { Delegations } = require(path.join(models, 'dist/delegations.js'));
const { canonicalize } = require(path.join(process.env.INTEROP_MODULES, '@tufjs/canonical-json'));

const [kind, keyKind, out] = process.argv.slice(2);
const EXPIRES = new Date(Date.now() + 30 * 86400e3).toISOString().replace(/\.\d+Z/, 'Z');
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

// ---- keys ----

let made = 0;
function pair() {
	const type = keyKind === 'mixed' ? ['ed25519', 'ecdsa', 'rsa'][made++ % 3] : keyKind;
	const options = { ecdsa: { namedCurve: 'P-256' }, rsa: { modulusLength: 2048 } }[type];
	const { privateKey, publicKey } = crypto.generateKeyPairSync(type === 'ecdsa' ? 'ec' : type, options);
	const [keyType, scheme] = {
		ed25519: ['ed25519', 'ed25519'],
		ecdsa: ['ecdsa', 'ecdsa-sha2-nistp256'],
		rsa: ['rsa', 'rsassa-pss-sha256'],
	}[type];
	const material =
		type === 'ed25519'
			? Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url').toString('hex')
			: publicKey.export({ format: 'pem', type: 'spki' });
	const more = kind === 'unknown' ? { 'x-owner': '@me' } : {};
	const keyID = sha256(canonicalize({ keytype: keyType, scheme, keyval: { public: material }, ...more }));
	return {
		privateKey,
		type,
		key: new Key({ keyID, keyType, scheme, keyVal: { public: material }, unrecognizedFields: more }),
	};
}

// For Metadata.sign. PSS with the longest salt in one of two cases: a verifier takes any.
function signer(p, n) {
	const salt = n % 2 ? crypto.constants.RSA_PSS_SALTLEN_MAX_SIGN : crypto.constants.RSA_PSS_SALTLEN_DIGEST;
	const how =
		p.type === 'rsa'
			? { key: p.privateKey, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: salt }
			: p.privateKey;
	return (bytes) =>
		new Signature({
			keyID: p.key.keyID,
			sig: crypto.sign(p.type === 'ed25519' ? null : 'sha256', bytes, how).toString('hex'),
		});
}

// ---- files ----

const more = kind === 'unknown' ? { 'x-note': { ключ: ['значение', 1, null, true, { ﬁ: 'a"b\\c' }] } } : {};
function body(version = 1) {
	return { version, specVersion: '1.0.31', expires: EXPIRES, unrecognizedFields: { ...more } };
}
const consistent = kind !== 'plain';
const meta = {},
	expect = [];

// Under the name that a server finds when it has decoded the path.
function write(name, version, signed, by) {
	const metadata = new Metadata(signed);
	by.forEach((p, n) => metadata.sign(signer(p, n)));
	const text = JSON.stringify(metadata.toJSON(), null, 2);
	const prefix = name === 'root' || (consistent && name !== 'timestamp') ? `${version}.` : '';
	const file = path.join(out, 'metadata', `${prefix}${name}.json`);
	fs.mkdirSync(path.dirname(file), { recursive: true });
	fs.writeFileSync(file, text);
	return new MetaFile({ version, length: Buffer.byteLength(text), hashes: { sha256: sha256(text) } });
}

function target(targets, name, role) {
	const bytes = Buffer.from(`${name} by ${role}\n`);
	const hashes = { sha256: sha256(bytes), sha512: crypto.createHash('sha512').update(bytes).digest('hex') };
	const unrecognizedFields = kind === 'unknown' ? { custom: { имя: name, depth: [[1]] }, 'x-more': 1 } : {};
	targets.addTarget(new TargetFile({ length: bytes.length, path: name, hashes, unrecognizedFields }));
	const file = path.join(
		out,
		'targets',
		path.dirname(name),
		`${consistent ? `${hashes.sha256}.` : ''}${path.basename(name)}`,
	);
	fs.mkdirSync(path.dirname(file), { recursive: true });
	fs.writeFileSync(file, bytes);
	expect.push(`${name}\t${role}`);
}

// A delegated file and, for the delegator, its keys.
function delegate(name, paths) {
	const by = [pair(), pair()],
		signed = new Targets(body(3));
	paths.forEach((p) => target(signed, p, name));
	meta[`${name}.json`] = write(name, 3, signed, by);
	return { by, name };
}
function delegatedRole({ by, name }, scope, terminating = false) {
	return new DelegatedRole({
		name,
		keyIDs: by.map((p) => p.key.keyID),
		threshold: 2,
		terminating,
		...scope,
		unrecognizedFields: kind === 'unknown' ? { 'x-why': 'because' } : {},
	});
}
function keysOf(pairs) {
	return Object.fromEntries(pairs.map((p) => [p.key.keyID, p.key]));
}
function delegations(list) {
	return new Delegations({
		keys: keysOf(list.flatMap((d) => d.from.by)),
		roles: Object.fromEntries(
			list.map((d) => [d.from.name, delegatedRole(d.from, d.scope, d.terminating)]),
		),
	});
}

// ---- the kinds ----

const targets = new Targets(body(2));

const kinds = {
	flat() {},
	plain() {
		const one = delegate('one', ['one/a']);
		targets.delegations = delegations([{ from: one, scope: { paths: ['one/*'] } }]);
	},
	roots() {},
	unknown() {
		kinds.plain();
	},
	paths() {
		const first = delegate('first', ['lab/a', 'lab/deep/x']),
			second = delegate('second', ['lab/a', 'lab/b', 'lab/c']);
		const shadow = delegate('shadow', []);
		target(targets, 'lab/top', 'targets');
		targets.delegations = delegations([
			{ from: first, scope: { paths: ['lab/?', 'nothing/*'] } },
			{ from: second, scope: { paths: ['lab/a', 'lab/b', '*/c'] } },
			{ from: shadow, scope: { paths: ['gone/*'] }, terminating: true },
		]);
		// Of two that list a path the first is heard, and it may not speak for what is deeper.
		expect.splice(expect.indexOf('lab/a\tsecond'), 1);
		expect.splice(expect.indexOf('lab/deep/x\tfirst'), 1, 'lab/deep/x\t-');
		expect.push('gone/1\t-');
	},
	prefixes() {
		const hex = (p) => sha256(p).slice(0, 4);
		const one = delegate('one', ['x/1', 'x/2']),
			two = delegate('two', ['x/3']);
		targets.delegations = delegations([
			{ from: one, scope: { pathHashPrefixes: [hex('x/1'), hex('x/2')] } },
			{ from: two, scope: { pathHashPrefixes: [hex('x/3')] } },
		]);
	},
	bins() {
		const by = [pair(), pair()],
			names = Array.from({ length: 40 }, (_, i) => `pool/item-${i}`);
		const bins = new SuccinctRoles({
			keyIDs: by.map((p) => p.key.keyID),
			threshold: 2,
			bitLength: 5,
			namePrefix: 'pool bin',
		});
		const content = Object.fromEntries([...bins.getRoles()].map((name) => [name, new Targets(body(7))]));
		names.forEach((n) => target(content[bins.getRoleForTarget(n)], n, bins.getRoleForTarget(n)));
		for (const [name, signed] of Object.entries(content)) meta[`${name}.json`] = write(name, 7, signed, by);
		targets.delegations = new Delegations({ keys: keysOf(by), succinctRoles: bins });
		expect.push('pool/item-40\t-');
	},
	unicode() {
		const one = delegate('Прошивка/ü ß', ['файл/я.bin', 'файл/日本 語']);
		target(targets, 'größe/maß€', 'targets');
		targets.delegations = delegations([{ from: one, scope: { paths: ['файл/*'] } }]);
	},
};

const top = Object.fromEntries(
	['root', 'timestamp', 'snapshot', 'targets'].map((n) => [n, n === 'root' ? [pair(), pair()] : [pair()]]),
);
target(targets, 'hello.txt', 'targets');
kinds[kind]();
expect.push('nobody/has/this\t-');

function roles(rootPairs) {
	return Object.fromEntries(
		Object.entries({ ...top, root: rootPairs }).map(([n, list]) => [
			n,
			new Role({ keyIDs: list.map((p) => p.key.keyID), threshold: n === 'root' ? 2 : 1 }),
		]),
	);
}
// Root versions: one, or seven with other root keys each time, signed by the old and the new.
let before = [];
for (let version = 1; version <= (kind === 'roots' ? 7 : 1); version++) {
	const now = version === 1 ? top.root : [pair(), pair()];
	if (version === 4) top.timestamp = [pair()];
	const signed = new Root({
		...body(version),
		keys: keysOf([...Object.values(top).flat(), ...now]),
		roles: roles(now),
		consistentSnapshot: consistent,
	});
	write('root', version, signed, [...before, ...now]);
	before = now;
}
fs.copyFileSync(path.join(out, 'metadata/1.root.json'), path.join(out, 'root.json'));

meta['targets.json'] = write('targets', 2, targets, top.targets);
const snapshotMeta = write('snapshot', 9, new Snapshot({ ...body(9), meta }), top.snapshot);
write('timestamp', 12, new Timestamp({ ...body(12), snapshotMeta }), top.timestamp);
fs.writeFileSync(path.join(out, 'expect'), `${expect.join('\n')}\n`);

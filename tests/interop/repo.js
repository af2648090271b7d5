// A TUF repository in memory: any shape, drawn from random numbers, and published with the lies that hooks tell.
//
//	hooks.signed[role](signed)		what the role's file says, before it is signed; may return another value
//	hooks.signers[role](keys)		who signs it
//	hooks.order				how canonical JSON sorts, for that lie
//	hooks.envelope[role](envelope)		the file with its signatures
//	hooks.text[role](text)			its text, which the parent file still describes
//	hooks.served(files, targets, repo)	what the server hands out, which nobody has signed
'use strict';
const { Raw, canonical, write } = require('./json');
const { sha } = require('./keys');

const NOW = Date.UTC(2027, 0, 15, 8) / 1000;
const DAY = 86400;
const TOP = ['root', 'timestamp', 'snapshot', 'targets'];
// Where targets may live; several roles list the same path, with different content.
const PATHS = ['a/1', 'a/2', 'a/two.bin', 'b/1', 'b/2', 'c/x y', 'ü/ß.bin', 'top'];
const PATTERNS = ['*/*', 'a/*', 'a/?', 'b/?', '?/1', '*/x?y', 'ü/*', '*', 'a/t*.bin', 'c/*y'];
const NAMES = [
	'one',
	'two',
	'three',
	'four',
	'five',
	'with space',
	'ä',
	'x/y',
	'../up',
	'what?',
	'100%',
	"it's(ok)!*",
	'a#b',
	'.hidden',
];

function iso(s) {
	return new Date(s * 1000).toISOString().replace('.000Z', 'Z');
}

// Nothing is left bare but A-Za-z0-9._-~, as our client asks for it.
function percent(s, keep = '') {
	return [...Buffer.from(s)]
		.map((c) => {
			const char = String.fromCharCode(c);
			return /[A-Za-z0-9._~-]/.test(char) || (keep && keep.includes(char))
				? char
				: `%${c.toString(16).toUpperCase().padStart(2, '0')}`;
		})
		.join('');
}

function hashesOf(bytes, kinds) {
	return Object.fromEntries(kinds.map((k) => [k, sha(k, bytes)]));
}

// Who signs for a role, and what its file says beside the content.
class Role {
	constructor(name, keys, threshold) {
		Object.assign(this, { name, keys, threshold, version: 1, expires: iso(NOW + 200 * DAY), extra: {} });
	}
	listed() {
		return { keyids: this.keys.map((k) => k.id), threshold: this.threshold };
	}
}

// A targets role: content by path, delegations in order (each {to, paths|prefixes, terminating}), or bins.
class Node extends Role {
	constructor(name, keys, threshold) {
		super(name, keys, threshold);
		Object.assign(this, { targets: {}, delegations: [], bins: null, hashes: ['sha256'] });
	}
	entry(bytes) {
		return { length: bytes.length, hashes: hashesOf(bytes, this.hashes) };
	}
	children() {
		return this.bins ? this.bins.nodes : this.delegations.map((d) => d.to);
	}
	// The member `delegations`, or nothing.
	delegating() {
		if (!this.bins && this.delegations.length === 0) return undefined;
		const by = this.bins ? [this.bins] : this.delegations.map((d) => d.by ?? d.to);
		const keys = Object.fromEntries(by.flatMap((r) => r.keys).map((k) => [k.id, k.object]));
		if (this.bins) {
			const { bits, prefix } = this.bins;
			return {
				keys,
				succinct_roles: { ...this.bins.listed(), bit_length: bits, name_prefix: prefix },
			};
		}
		return {
			keys,
			roles: this.delegations.map((d) => ({
				name: d.to.name,
				...(d.by ?? d.to).listed(),
				terminating: d.terminating,
				...(d.prefixes ? { path_hash_prefixes: d.prefixes } : { paths: d.paths }),
			})),
		};
	}
}

class Repo {
	constructor(random, ring) {
		this.random = random;
		this.ring = ring;
		this.consistent = random.chance(0.8);
		this.roles = Object.fromEntries(TOP.map((n) => [n, this.role(n === 'targets' ? Node : Role, n)]));
		this.targets = this.roles.targets;
		this.rootFiles = {};
		this.meta = random.pick([
			[],
			['length'],
			['sha256'],
			['length', 'sha256'],
			['length', 'sha256', 'sha512'],
			['sha512'],
		]);
		this.space = random.pick(['', '', ' ', '\n']);
		this.names = [...NAMES];
	}

	// ---- shapes ----

	role(Kind, name) {
		const n = this.random.between(1, 3);
		const role = new Kind(name, this.ring.draw(this.random, n), this.random.between(1, n));
		role.version = this.random.between(1, 5);
		role.expires = iso(NOW + this.random.between(30, 400) * DAY);
		if (name === 'root') role.version = 1;
		return role;
	}
	node(name) {
		const node = this.role(Node, name);
		node.hashes = this.random.pick([['sha256'], ['sha512'], ['sha256', 'sha512']]);
		return node;
	}
	fill(node, paths) {
		for (const path of paths) node.targets[path] = this.random.bytes(this.random.below(200));
	}
	grow(node, depth) {
		for (let n = this.random.below(depth === 0 ? 4 : 3); n > 0 && this.names.length > 0; n--) {
			const to = this.node(this.names.splice(this.random.below(this.names.length), 1)[0]);
			const d = { to, terminating: this.random.chance(0.25) };
			this.fill(to, this.random.some(PATHS, this.random.below(4)));
			if (this.random.chance(0.25))
				d.prefixes = this.random
					.some(PATHS, 4)
					.map((p) => sha('sha256', p).slice(0, this.random.between(1, 6)));
			else d.paths = this.random.some(PATTERNS, this.random.between(1, 4));
			node.delegations.push(d);
			if (depth < 2) this.grow(to, depth + 1);
		}
		// A way back: the search must not walk in circles.
		if (node !== this.targets && node.delegations.length > 0 && this.random.chance(0.2))
			node.delegations.push({ to: node, terminating: false, paths: ['*/*'] });
	}
	bin(node, bits, prefix, paths) {
		const bins = this.role(Role, prefix);
		const count = 2 ** bits,
			width = (count - 1).toString(16).length;
		const wanted = paths.map((p) =>
			Math.floor(parseInt(sha('sha256', p).slice(0, 8), 16) / 2 ** (32 - bits)),
		);
		const numbers = bits <= 3 ? Array.from({ length: count }, (_, i) => i) : [...new Set(wanted)];
		node.bins = Object.assign(bins, {
			bits,
			prefix,
			nodes: numbers.map((i) => {
				const name = `${prefix}-${i.toString(16).padStart(width, '0')}`;
				const to = Object.assign(this.node(name), {
					keys: bins.keys,
					threshold: bins.threshold,
				});
				this.fill(
					to,
					paths.filter((_, k) => wanted[k] === i && this.random.chance(0.8)),
				);
				return to;
			}),
		});
	}
	// The shape of an ordinary repository; depth 2: a small one.
	draw(depth = 0) {
		this.fill(this.targets, this.random.some(PATHS, this.random.below(4)));
		if (depth === 0 && this.random.chance(0.2))
			this.bin(
				this.targets,
				this.random.pick([1, 2, 3, 5, 8, 10, 16, 32]),
				this.random.pick(['bin', 'a bin', 'x/y']),
				PATHS,
			);
		else this.grow(this.targets, depth);
		return this;
	}
	// What attacks need: `v/1` in the delegated role victim, which every search for it meets first, and `top/1`.
	arm() {
		this.victim = this.node('victim');
		this.fill(this.victim, ['v/1', 'v/2']);
		this.fill(this.targets, ['top/1']);
		this.targets.delegations.unshift({ to: this.victim, terminating: false, paths: ['v/*'] });
		return this;
	}
	byName(name) {
		return this.roles[name] ?? this.nodes().find((n) => n.name === name);
	}
	// Every targets role, the top-level one first.
	nodes() {
		const seen = new Map();
		const walk = (node) => {
			if (seen.has(node.name)) return;
			seen.set(node.name, node);
			node.children().forEach(walk);
		};
		walk(this.targets);
		return [...seen.values()];
	}

	// ---- change ----

	bump(role) {
		role.version += this.random.between(1, 3);
	}
	rotate(names = [this.random.pick(TOP)]) {
		const before = { keys: this.roles.root.keys, threshold: this.roles.root.threshold };
		for (const name of names) {
			const n = this.random.between(1, 3);
			this.roles[name].keys = this.ring.draw(this.random, n);
			this.roles[name].threshold = this.random.between(1, n);
		}
		this.roles.root.version++;
		// A root on the way may end before anybody asks for it.
		this.rootBefore = before;
	}
	evolve() {
		this.bump(this.roles.timestamp);
		this.bump(this.roles.snapshot);
		for (const node of this.nodes())
			if (this.random.chance(0.5)) {
				this.bump(node);
				for (const path of Object.keys(node.targets))
					if (this.random.chance(0.3)) this.fill(node, [path]);
			}
	}

	// ---- publication ----

	head(role, type) {
		return { _type: type, spec_version: '1.0.34', version: role.version, expires: role.expires };
	}
	seal(role, type, content, hooks, signers) {
		let signed = { ...this.head(role, type), ...content, ...role.extra };
		signed = hooks.signed?.[role.name]?.(signed) ?? signed;
		signers = hooks.signers?.[role.name]?.(signers) ?? signers;
		const bytes = Buffer.from(canonical(signed, hooks.order?.[role.name]));
		let envelope = {
			signed,
			signatures: signers.map((k) => ({ keyid: k.id, sig: k.sign(bytes).toString('hex') })),
		};
		envelope = hooks.envelope?.[role.name]?.(envelope, bytes) ?? envelope;
		const text = write(envelope, this.space);
		return Buffer.from(hooks.text?.[role.name]?.(text) ?? text);
	}
	enough(role) {
		return role.keys.slice(0, this.random.between(role.threshold, role.keys.length));
	}
	metafile(version, bytes) {
		const entry = { version };
		if (this.meta.includes('length')) entry.length = bytes.length;
		const kinds = this.meta.filter((k) => k !== 'length');
		if (kinds.length > 0) entry.hashes = hashesOf(bytes, kinds);
		return entry;
	}
	root(hooks) {
		const { root } = this.roles;
		const signers = [...this.enough(root)];
		if (this.rootBefore)
			for (const k of this.enough(this.rootBefore))
				if (!signers.some((s) => s.id === k.id)) signers.push(k);
		const keys = Object.fromEntries(TOP.flatMap((n) => this.roles[n].keys).map((k) => [k.id, k.object]));
		return this.seal(
			root,
			'root',
			{
				consistent_snapshot: this.consistent,
				keys,
				roles: Object.fromEntries(TOP.map((n) => [n, this.roles[n].listed()])),
			},
			hooks,
			signers,
		);
	}
	fileName(role, version) {
		return this.consistent && role !== 'timestamp'
			? `${version}.${percent(role)}.json`
			: `${percent(role)}.json`;
	}
	putTargets(out, node) {
		for (const [path, bytes] of Object.entries(node.targets)) {
			const slash = path.lastIndexOf('/') + 1;
			const names = this.consistent
				? node.hashes.map((k) => `${sha(k, bytes)}.${path.slice(slash)}`)
				: [path.slice(slash)];
			for (const name of names.filter((n) => n !== ''))
				out.set(percent(path.slice(0, slash) + name, '/'), bytes);
		}
	}
	// Everything a server has now: metadata by encoded name, targets by encoded path. Roots of the past stay.
	publish(hooks = {}) {
		const files = new Map(),
			targets = new Map(),
			meta = {};
		if (!this.rootFiles[this.roles.root.version])
			this.rootFiles[this.roles.root.version] = this.root(hooks);
		for (const node of this.nodes().reverse()) {
			const delegations = node.delegating();
			const content = {
				targets: Object.fromEntries(
					Object.entries(node.targets).map(([p, b]) => [p, node.entry(b)]),
				),
			};
			const bytes = this.seal(
				node,
				'targets',
				delegations ? { ...content, delegations } : content,
				hooks,
				this.enough(node),
			);
			meta[`${node.name}.json`] = this.metafile(node.version, bytes);
			files.set(this.fileName(node.name, node.version), bytes);
			this.putTargets(targets, node);
		}
		const { snapshot, timestamp } = this.roles;
		const snap = this.seal(snapshot, 'snapshot', { meta }, hooks, this.enough(snapshot));
		files.set(this.fileName('snapshot', snapshot.version), snap);
		files.set(
			'timestamp.json',
			this.seal(
				timestamp,
				'timestamp',
				{ meta: { 'snapshot.json': this.metafile(snapshot.version, snap) } },
				hooks,
				this.enough(timestamp),
			),
		);
		for (const [version, bytes] of Object.entries(this.rootFiles)) files.set(`${version}.root.json`, bytes);
		hooks.served?.(files, targets, this);
		return { files, targets };
	}
}

module.exports = { Repo, Role, Node, NOW, DAY, TOP, PATHS, Raw, iso, percent, hashesOf };

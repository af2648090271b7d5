// Keys and signatures for generated repositories, and the random numbers that everything is drawn from.
'use strict';
const crypto = require('crypto');
const { canonical } = require('./json');

// A generator that gives the same numbers for the same words, here and on every machine.
class Random {
	constructor(...words) {
		this.block = crypto.createHash('sha256').update(words.join(' ')).digest();
		this.at = 0;
	}
	word() {
		if (this.at === this.block.length) {
			this.block = crypto.createHash('sha256').update(this.block).digest();
			this.at = 0;
		}
		this.at += 4;
		return this.block.readUInt32LE(this.at - 4);
	}
	below(n) {
		return this.word() % n;
	}
	between(a, b) {
		return a + this.below(b - a + 1);
	}
	chance(p) {
		return this.word() < p * 2 ** 32;
	}
	pick(list) {
		return list[this.below(list.length)];
	}
	some(list, n) {
		const left = [...list];
		return Array.from(
			{ length: Math.min(n, left.length) },
			() => left.splice(this.below(left.length), 1)[0],
		);
	}
	bytes(n) {
		return Buffer.from(Array.from({ length: n }, () => this.below(256)));
	}
}

function ed25519(seed) {
	const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
	const secret = crypto.createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
	const hex = Buffer.from(crypto.createPublicKey(secret).export({ format: 'jwk' }).x, 'base64url').toString(
		'hex',
	);
	return { secret, keytype: 'ed25519', scheme: 'ed25519', material: hex };
}

function ecdsa(seed, curve, crv, scheme, keytype) {
	const ecdh = crypto.createECDH(curve);
	ecdh.setPrivateKey(seed);
	const point = ecdh.getPublicKey(),
		half = (point.length - 1) / 2;
	const part = (from, to) => point.subarray(from, to).toString('base64url');
	const jwk = { kty: 'EC', crv, d: seed.toString('base64url'), x: part(1, 1 + half), y: part(1 + half) };
	const secret = crypto.createPrivateKey({ key: jwk, format: 'jwk' });
	return { secret, keytype, scheme, point, material: pem(secret) };
}

function rsa(bits) {
	const secret = crypto.generateKeyPairSync('rsa', { modulusLength: bits }).privateKey;
	return { secret, keytype: 'rsa', scheme: 'rsassa-pss-sha256', material: pem(secret) };
}

function pem(secret) {
	return crypto.createPublicKey(secret).export({ format: 'pem', type: 'spki' });
}

function sha(kind, bytes) {
	return crypto.createHash(kind).update(bytes).digest('hex');
}

// What a role lists: the key object, with `extra` unknown members, and its id.
class Key {
	constructor(parts, extra = {}) {
		Object.assign(this, parts);
		this.object = {
			keytype: this.keytype,
			scheme: this.scheme,
			keyval: { public: this.material },
			...extra,
		};
		this.id = sha('sha256', canonical(this.object));
	}
	// The same secret under other words, and so under another id.
	as(changes) {
		const twin = new Key(this);
		twin.object = { ...twin.object, ...changes };
		twin.id = sha('sha256', canonical(twin.object));
		return twin;
	}
	sign(bytes) {
		if (this.scheme === 'rsassa-pss-sha256')
			return crypto.sign('sha256', bytes, {
				key: this.secret,
				padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
				saltLength: 32,
			});
		const digest =
			{ 'ecdsa-sha2-nistp256': 'sha256', 'ecdsa-sha2-nistp384': 'sha384' }[this.scheme] ?? null;
		return crypto.sign(digest, bytes, this.secret);
	}
}

// Enough keys for every role of a repository, made once: all but RSA come from the seed.
class Ring {
	constructor(seed) {
		const random = new Random(seed, 'keys');
		this.ed = Array.from({ length: 48 }, () => new Key(ed25519(random.bytes(32))));
		this.p256 = Array.from(
			{ length: 12 },
			(_, i) =>
				new Key(
					ecdsa(
						random.bytes(32),
						'prime256v1',
						'P-256',
						'ecdsa-sha2-nistp256',
						i % 2 ? 'ecdsa' : 'ecdsa-sha2-nistp256',
					),
				),
		);
		this.p384 = Array.from(
			{ length: 2 },
			() => new Key(ecdsa(random.bytes(48), 'secp384r1', 'P-384', 'ecdsa-sha2-nistp384', 'ecdsa')),
		);
		this.rsa = Array.from({ length: 3 }, () => new Key(rsa(2048)));
		this.weak = new Key(rsa(1024));
		this.stranger = new Key(ed25519(random.bytes(32)));
	}
	// Ed25519 in most places: the others take many times as long.
	draw(random, n) {
		const pool = random.some(this.ed, 5);
		if (random.chance(0.15)) pool.push(random.pick(this.p256));
		if (random.chance(0.05)) pool.push(random.pick(this.rsa));
		return random.some(pool, n);
	}
}

module.exports = { Random, Ring, Key, sha };

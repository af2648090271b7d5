// JSON as an attacker can write it: values with a text of their own, keys in any order, and the canonical form.
'use strict';

// A value that is written as `text` but signed as `canonical`: 1.0, 1e3, a number beyond 2^53.
class Raw {
	constructor(text, canonical = text, number = Number(text)) {
		this.text = text;
		this.canonical = canonical;
		this.number = number;
	}
	// Where a version takes part in a file's name.
	toString() {
		return String(this.number);
	}
}

// A Map is an object too, and the only one that can have a member __proto__.
function entries(object) {
	return object instanceof Map ? [...object] : Object.entries(object);
}

function byCodePoint(a, b) {
	return Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0]));
}

function quoted(s) {
	return `"${s.replace(/[\\"]/g, '\\$&')}"`;
}

// OLPC canonical JSON, as specification 4.1 wants it. order: how keys are sorted, by code point unless a test lies.
function canonical(v, order = byCodePoint) {
	if (v instanceof Raw) return v.canonical;
	if (typeof v === 'string') return quoted(v);
	if (Array.isArray(v)) return `[${v.map((e) => canonical(e, order)).join(',')}]`;
	if (v !== null && typeof v === 'object')
		return `{${entries(v)
			.sort(order)
			.map(([k, e]) => `${quoted(k)}:${canonical(e, order)}`)
			.join(',')}}`;
	return JSON.stringify(v);
}

// Text for the wire; space: what stands between two tokens.
function write(v, space = '') {
	if (v instanceof Raw) return v.text;
	if (Array.isArray(v)) return `[${v.map((e) => space + write(e, space)).join(',')}${space}]`;
	if (v !== null && typeof v === 'object')
		return `{${entries(v)
			.map(([k, e]) => `${space}${JSON.stringify(k)}:${space}${write(e, space)}`)
			.join(',')}${space}}`;
	return JSON.stringify(v);
}

module.exports = { Raw, canonical, write };

// Our client: the engine in one process over a pipe (judge.c), and the verb itself over http.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const readline = require('readline');
const { execFile, spawn } = require('child_process');
const { promisify } = require('util');
const { sha } = require('./keys');

const OWN_CLOCK = path.join(__dirname, '../e2e/own-clock.sh');

// The program of judge.c, asked for one verdict after the other.
class Judge {
	constructor(program) {
		this.child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
		this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
		this.child.stdin.on('error', () => {});
	}
	put(words, bytes) {
		this.child.stdin.write(`${words}\n`);
		if (bytes) this.child.stdin.write(bytes);
	}
	begin(root) {
		this.put(`begin ${root.length}`, root);
	}
	async update(stage, lookups) {
		this.put(`stage ${stage.now}`);
		for (const [kind, map] of [
			['file', stage.files],
			['target', stage.targets],
		])
			for (const [name, answer] of map)
				if (typeof answer === 'number') this.put(`${kind} ${name} ${answer} 0`);
				else this.put(`${kind} ${name} 200 ${answer.length}`, answer);
		for (const wanted of lookups) this.put(`lookup ${Buffer.byteLength(wanted)}`, wanted);
		this.put('run');
		const { value, done } = await this.lines.next();
		if (done) throw new Error('the judge has died');
		return JSON.parse(value);
	}
	end() {
		this.child.stdin.end();
	}
}

// `meshanics tuf-client`, a process an operation, with the clock standing still at the stage's time.
class Verb {
	constructor(program, dir) {
		Object.assign(this, { program, dir });
		this.server = http.createServer((request, answer) => {
			const [, kind, name] = request.url.match(/^\/([mt])\/(.*)$/) ?? [];
			const found = kind && (kind === 'm' ? this.stage.files : this.stage.targets).get(name);
			answer.writeHead(typeof found === 'number' ? found : found === undefined ? 404 : 200);
			answer.end(typeof found === 'number' ? undefined : found);
		});
	}
	async listen() {
		await new Promise((done) => {
			this.server.listen(0, '127.0.0.1', done);
		});
		this.url = `http://127.0.0.1:${this.server.address().port}`;
		return this;
	}
	// The exit status, and in this.why what was said; anything but 0 and 1 is an error of its own.
	async run(...args) {
		const clock = new Date(this.stage.now * 1000).toISOString().slice(0, 19).replace('T', ' ');
		const env = {
			...process.env,
			TZ: 'UTC',
			FAKETIME_DONT_FAKE_MONOTONIC: '1',
			ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
		};
		try {
			await promisify(execFile)(
				OWN_CLOCK,
				[
					'faketime',
					'-f',
					clock,
					this.program,
					'tuf-client',
					'--metadata-dir',
					this.state,
					'--metadata-url',
					`${this.url}/m/`,
					...args,
				],
				{ env },
			);
			this.why = '';
			return 0;
		} catch (e) {
			if (e.code !== 1) throw e;
			this.why = e.stderr.trim();
			return 1;
		}
	}
	async begin(root) {
		this.state = fs.mkdtempSync(path.join(this.dir, 'verb-'));
		fs.writeFileSync(path.join(this.state, 'given'), root);
		this.stage = { now: 0 };
		await this.run('init', path.join(this.state, 'given'));
	}
	async update(stage, lookups) {
		this.stage = stage;
		const out = { verdict: (await this.run('refresh')) === 0 ? 'ok' : 'refused', why: this.why, lookups: [] };
		for (const wanted of out.verdict === 'ok' ? lookups : []) {
			const into = fs.mkdtempSync(path.join(this.dir, 'got-'));
			const status = await this.run(
				'--target-name',
				wanted,
				'--target-dir',
				into,
				'--target-base-url',
				`${this.url}/t/`,
				'download',
			);
			const got = fs.readdirSync(into);
			if (got.length !== (status === 0 ? 1 : 0))
				throw new Error(`exit ${status} and ${got.length} files for ${wanted}`);
			out.lookups.push(
				status === 0
					? {
							verdict: 'found',
							sha256: sha('sha256', fs.readFileSync(path.join(into, got[0]))),
						}
					: { verdict: 'not found', why: this.why },
			);
			fs.rmSync(into, { recursive: true });
		}
		return out;
	}
	end() {
		this.server.close();
		this.server.closeAllConnections?.();
	}
}

module.exports = { Judge, Verb };

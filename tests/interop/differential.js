// The differential test: generated repositories and attacks, given to our client and to tuf-js.
//
//	node differential.js --judge PROGRAM --work DIR [--verb PROGRAM --sample N] [--seed WORD] [--cases N] [--case I]
//
// Writes one JSON document: what was met, and four lists that must be empty. --case I runs that case alone and prints
// what both clients said. The same seed makes the same cases, but for RSA keys and ECDSA's own randomness.
'use strict';
const fs = require('fs');
const path = require('path');
const { parseArgs } = require('util');
const { Random, Ring, sha } = require('./keys');
const { Repo, NOW, DAY, PATHS, TOP } = require('./repo');
const { catalogue } = require('./attacks');
const { differences } = require('./differences');
const { Judge, Verb } = require('./ours');
const theirs = require('./theirs');

const { values: options } = parseArgs({
	options: {
		judge: { type: 'string' },
		work: { type: 'string' },
		verb: { type: 'string' },
		sample: { type: 'string', default: '60' },
		seed: { type: 'string', default: 'one' },
		cases: { type: 'string', default: '2030' },
		case: { type: 'string' },
	},
});

// ---- making a case ----

// In each five, the last has no attack at all.
const ROUND = 5 * Math.ceil(catalogue.length / 4);

function memory(repo, published) {
	const all = [...repo.nodes(), ...TOP.map((n) => repo.roles[n])];
	return {
		files: published.files,
		versions: Object.fromEntries(all.map((r) => [r.name, r.version])),
		names: Object.fromEntries(all.map((r) => [r.name, repo.fileName(r.name, r.version)])),
	};
}

function contextOf(random, ring, repo) {
	const c = { random, ring, repo, hooks: {}, lookups: ['v/1', 'top/1'], now: NOW };
	c.hook = (kind, role, fn) => {
		const all = (c.hooks[kind] ??= {}),
			before = all[role];
		all[role] = before ? (x, more) => fn(before(x, more) ?? x, more) : fn;
	};
	return c;
}

function honest(random, ring) {
	const repo = new Repo(random, ring).draw();
	const c = contextOf(random, ring, repo),
		stages = [];
	for (let n = random.between(1, 3); n > 0; n--) {
		if (stages.length > 0) {
			repo.evolve();
			if (random.chance(0.6)) repo.rotate(random.some(TOP, random.between(1, 2)));
		}
		stages.push(stageOf(c, NOW + stages.length * 3600, repo.publish(), { refresh: 'ok' }));
	}
	return {
		name: 'none',
		role: '',
		root: repo.rootFiles[1],
		stages,
		lookups: [...random.some(PATHS, 3), 'a/none'],
	};
}

// What the server has at one time, what our client must say to it, and the bytes of what it must find.
function stageOf(c, now, published, wants) {
	return { now, ...published, wants, content: { ...c.repo.targets.targets, ...c.repo.victim?.targets } };
}

const GOOD = { refresh: 'ok', lookups: { 'v/1': 'found', 'top/1': 'found' } };

function wantsOf(attack, role, c) {
	if (c.wants) return c.wants;
	if (attack.expect === 'accept') return GOOD;
	return role === 'victim'
		? { refresh: 'ok', lookups: { 'v/1': 'refused', 'top/1': 'found' } }
		: { refresh: 'refused' };
}

function attacked(random, ring, attack, role) {
	const repo = new Repo(random, ring).draw(2).arm();
	const c = contextOf(random, ring, repo),
		stages = [];
	attack.prepare?.(c, role);
	// An attack that says by itself what it wants has changed shapes, too.
	if (attack.old || (attack.expect && !attack.alone && random.chance(0.3))) {
		const published = repo.publish();
		c.before = memory(repo, published);
		stages.push(stageOf(c, NOW - DAY, published, GOOD));
		// The role under attack and its delegator have something new to say, or the client would not ask for their files.
		if (!attack.still) {
			repo.evolve();
			repo.rotate(['root']);
			for (const name of new Set([role, 'targets']))
				if (name !== 'root') repo.bump(repo.byName(name));
		}
	} else if (role === 'root') {
		repo.publish();
		repo.rotate(['root']);
	}
	attack.go(c, role);
	const published = repo.publish(c.hooks);
	stages.push(stageOf(c, c.now, published, wantsOf(attack, role, c)));
	if (attack.heals) {
		if (role === 'root') delete repo.rootFiles[repo.roles.root.version];
		repo.evolve();
		stages.push(stageOf(c, c.now + 3600, repo.publish(), GOOD));
	}
	return { name: attack.name, role, root: repo.rootFiles[1], stages, lookups: c.lookups };
}

function caseOf(index, ring) {
	const random = new Random(options.seed, index);
	const at = index % ROUND,
		attack = catalogue[4 * Math.floor(at / 5) + (at % 5)];
	if (!attack || at % 5 === 4) return honest(random, ring);
	return attacked(random, ring, attack, attack.roles[Math.floor(index / ROUND) % attack.roles.length]);
}

// ---- judging it ----

const report = {
	seed: options.seed,
	cases: 0,
	attacks: 0,
	refused: 0,
	accepted: 0,
	differed: 0,
	sampled: 0,
	unexpected: [],
	unmatched: [],
	verb: [],
	met: {},
};

// Our client against what the catalogue says must come of it.
function expected(made, stage, ours) {
	const complaints = [];
	const { refresh, lookups = {} } = stage.wants;
	if (ours.verdict !== refresh) complaints.push(`refresh is ${ours.verdict} (${ours.why}), not ${refresh}`);
	for (const [i, wanted] of made.lookups.entries()) {
		const got = ours.lookups[i],
			want = lookups[wanted];
		if (!got) continue;
		if (want && got.verdict !== want)
			complaints.push(`${wanted} is ${got.verdict} (${got.why}), not ${want}`);
		if (want === 'found' && got.verdict === 'found' && got.sha256 !== sha('sha256', stage.content[wanted]))
			complaints.push(`${wanted} has other bytes`);
	}
	return complaints;
}

// Every point on which the two do not say the same.
function compare(ours, their, lookups) {
	const out = [];
	if (ours.verdict !== their.verdict) return [{ where: 'refresh', ours, theirs: their }];
	for (const role of ours.verdict === 'ok' ? TOP : ['root'])
		if (ours[role] !== undefined && ours[role] !== their[role])
			out.push({ where: `version of ${role}`, ours, theirs: their });
	lookups.forEach((wanted, i) => {
		const [a, b] = [ours.lookups[i], their.lookups[i]];
		if (a && (a.verdict !== b.verdict || a.sha256 !== b.sha256))
			out.push({ where: 'lookup', wanted, ours: a, theirs: b });
	});
	return out;
}

function matches(entry, made, d) {
	const word = (v) => (v.verdict === 'ok' || v.verdict === 'found' ? 'taken' : v.verdict);

	return (
		entry.attacks.includes(made.name) &&
		['refresh', 'lookup'].includes(d.where) &&
		entry.says === `${word(d.ours)}/${word(d.theirs)}` &&
		[undefined, d.wanted].includes(entry.path) &&
		(!entry.ourWords || entry.ourWords.test(d.ours.why ?? '')) &&
		(!entry.theirWords || entry.theirWords.test(d.theirs.why ?? ''))
	);
}

function brief(v) {
	return `${v.verdict}${v.why ? ` (${v.why})` : ''}`;
}

async function judge(index, made, judged, verb) {
	const dir = fs.mkdtempSync(path.join(options.work, 'tuf-js-'));
	const label = `case ${index} ${made.name} ${made.role}`;
	let together = true;
	fs.writeFileSync(path.join(dir, 'root.json'), made.root);
	judged.begin(made.root);
	await verb?.begin(made.root);
	for (const [n, stage] of made.stages.entries()) {
		// The two work at the same time, each on a processor of its own.
		const [ours, their] = await Promise.all([
			judged.update(stage, made.lookups),
			together ? theirs.update(dir, stage, made.lookups) : undefined,
		]);
		for (const why of expected(made, stage, ours))
			report.unexpected.push(`${label}, stage ${n + 1}: ${why}`);
		report[ours.verdict === 'ok' ? 'accepted' : 'refused']++;
		if (together) {
			const found = compare(ours, their, made.lookups);
			for (const d of found) {
				const entry = differences.find((e) => matches(e, made, d));
				report.differed++;
				if (entry) report.met[entry.id] = (report.met[entry.id] ?? 0) + 1;
				else
					report.unmatched.push(
						`${label}, stage ${n + 1}, ${d.where} ${d.wanted ?? ''}: ours ${brief(d.ours)}; ` +
							`theirs ${brief(d.theirs)}`,
					);
			}
			// From here on they hold different things: what follows says nothing more.
			together = found.length === 0;
		}
		if (options.case)
			console.log(
				JSON.stringify({ label, stage: n + 1, wants: stage.wants, ours, their }, null, '\t'),
			);
		if (verb) await check(verb, label, n, stage, made, ours);
	}
	fs.rmSync(dir, { recursive: true });
}

// The verb must say what the engine said.
async function check(verb, label, n, stage, made, ours) {
	const said = await verb.update(stage, made.lookups);
	if (said.verdict !== ours.verdict)
		report.verb.push(
			`${label}, stage ${n + 1}: refresh is ${brief(said)}, the engine says ${brief(ours)}`,
		);
	said.lookups.forEach((got, i) => {
		const want = ours.lookups[i];
		if (want && ((want.verdict === 'found') !== (got.verdict === 'found') || want.sha256 !== got.sha256))
			report.verb.push(
				`${label}, stage ${n + 1}, ${made.lookups[i]}: ${brief(got)}, the engine says ${brief(want)}`,
			);
	});
}

async function main() {
	const ring = new Ring(options.seed),
		judged = new Judge(options.judge);
	const verb = options.verb && (await new Verb(options.verb, options.work).listen());
	const count = Number(options.cases),
		every = Math.max(1, Math.floor(count / Number(options.sample)));
	const list = options.case ? [Number(options.case)] : Array.from({ length: count }, (_, i) => i);
	for (const index of list) {
		const made = caseOf(index, ring);
		const sampled = verb && index % every === every - 1;
		await judge(index, made, judged, sampled ? verb : undefined);
		report.cases++;
		report.attacks += made.name !== 'none';
		report.sampled += sampled ? 1 : 0;
	}
	report.kinds = catalogue.length;
	report.never = differences.map((e) => e.id).filter((id) => !report.met[id]);
	judged.end();
	verb?.end();
	console.log(JSON.stringify(report, null, '\t'));
}

main().catch((e) => {
	console.error(e);
	process.exit(1);
});

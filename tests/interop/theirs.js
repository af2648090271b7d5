// The other client: tuf-js, fed from memory, at a fixed time, with its state in a directory of its own.
'use strict';
const fs = require('fs');
const path = require('path');
const { sha } = require('./keys');
const { percent } = require('./repo');

// The packages are installed beside the build, not beside this file.
const modules = process.env.INTEROP_MODULES ?? path.join(__dirname, '../../build/interop/node_modules');
const { Updater, BaseFetcher } = require(path.join(modules, 'tuf-js'));
const { DownloadHTTPError, DownloadLengthMismatchError } = require(path.join(modules, 'tuf-js/dist/error.js'));

// What a plain file server answers: the path decoded, query and fragment ignored.
class MemoryFetcher extends BaseFetcher {
	constructor(state, dir) {
		super();
		Object.assign(this, { state, dir });
	}
	async bytes(url, maxLength) {
		const [, kind, rest] = new URL(url).pathname.match(/^\/([mt])\/(.*)$/) ?? [];
		const name = kind && percent(decodeURIComponent(rest), kind === 't' ? '/' : '');
		const bytes = kind === 'm' ? this.state.files.get(name) : this.state.targets.get(name);
		if (typeof bytes === 'number' || bytes === undefined)
			throw new DownloadHTTPError('Failed to download', bytes ?? 404);
		if (bytes.length > maxLength) throw new DownloadLengthMismatchError('Max length reached');
		return bytes;
	}
	async downloadBytes(url, maxLength) {
		return this.bytes(url, maxLength);
	}
	async downloadFile(url, maxLength, handler) {
		const file = path.join(this.dir, 'download');
		fs.writeFileSync(file, await this.bytes(url, maxLength));
		return handler(file);
	}
}

function versionOf(dir, role) {
	try {
		return JSON.parse(fs.readFileSync(path.join(dir, `${role}.json`))).signed.version;
	} catch {
		return 0;
	}
}

async function lookup(updater, wanted) {
	try {
		const info = await updater.getTargetInfo(wanted);
		if (!info) return { verdict: 'none' };
		const file = await updater.downloadTarget(info);
		return { verdict: 'found', sha256: sha('sha256', fs.readFileSync(file)) };
	} catch (e) {
		return { verdict: 'refused', why: `${e.name}: ${e.message}` };
	}
}

// One update and the lookups after it. dir: its state, with root.json from the beginning.
async function update(dir, stage, lookups) {
	const out = { verdict: 'ok', lookups: [] };
	try {
		const updater = new Updater({
			metadataDir: dir,
			targetDir: dir,
			metadataBaseUrl: 'http://x/m/',
			targetBaseUrl: 'http://x/t/',
			fetcher: new MemoryFetcher(stage, dir),
		});
		updater.trustedSet.referenceTime = new Date(stage.now * 1000);
		await updater.refresh();
		for (const wanted of lookups) out.lookups.push(await lookup(updater, wanted));
	} catch (e) {
		out.verdict = 'refused';
		out.why = `${e.name}: ${e.message}`;
	}
	out.root = versionOf(dir, 'root');
	if (out.verdict === 'ok')
		for (const role of ['timestamp', 'snapshot', 'targets']) out[role] = versionOf(dir, role);
	return out;
}

module.exports = { update, modules };

// tuf-js as anybody would use it: refresh over http, then find and download each target.
//
//	node update.js METADATA_DIR URL TARGET_DIR [PATH...]
//
// METADATA_DIR holds root.json, which is trusted. Prints {root, timestamp, snapshot, targets, found: {PATH: FILE or null}}.
'use strict';
const fs = require('fs');
const path = require('path');
const { Updater } = require(path.join(process.env.INTEROP_MODULES, 'tuf-js'));
const [dir, url, targetDir, ...paths] = process.argv.slice(2);

function version(role) {
	return JSON.parse(fs.readFileSync(path.join(dir, `${role}.json`))).signed.version;
}

async function main() {
	const updater = new Updater({
		metadataDir: dir,
		metadataBaseUrl: `${url}/metadata`,
		targetDir,
		targetBaseUrl: `${url}/targets`,
	});
	await updater.refresh();
	const found = {};
	for (const wanted of paths) {
		const info = await updater.getTargetInfo(wanted);
		found[wanted] = info ? await updater.downloadTarget(info) : null;
	}
	const roles = ['root', 'timestamp', 'snapshot', 'targets'].map((r) => [r, version(r)]);
	console.log(JSON.stringify({ ...Object.fromEntries(roles), found }));
}

main().catch((e) => {
	console.error(`${e.name}: ${e.message}`);
	process.exit(1);
});

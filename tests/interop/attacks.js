// The catalogue of attacks, in the order in which the cases walk through it.
'use strict';
const { catalogue } = require('./attack');
require('./attacks_trust');
require('./attacks_files');
require('./attacks_targets');

// Once such an attack is over, the next honest publication is taken: nothing of it has stuck (section 5, its first note).
const heals = new Set([
	'signature-flipped',
	'signature-by-stranger',
	'signatures-none',
	'signature-of-other-content',
	'role-as-another',
	'version-zero',
	'version-negative',
	'version-no-number',
	'root-version-skips',
	'root-version-repeats',
	'root-server-error',
	'root-withheld',
	'expires-never',
	'length-too-long',
	'hash-of-other-bytes',
	'metadata-byte-flipped',
	'metadata-cut',
	'metadata-empty',
	'metadata-missing',
	'metadata-server-error',
	'timestamp-too-large',
	'whole-repository-replayed',
	'old-file-under-new-name',
	'spec-version-2',
	'member-missing',
	'no-object-at-all',
	'member-twice',
	'root-site-appears',
	'timestamp-signed-after-its-end',
	'target-byte-flipped',
	'target-missing',
]);
for (const a of catalogue) a.heals = heals.has(a.name);

module.exports = { catalogue };

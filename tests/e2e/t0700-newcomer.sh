#!/bin/sh
# What somebody meets who knows the program from its pages alone: slips of the hand, and what is said about them.
. "$(dirname "$0")/lib.sh"

test_expect 'keys for two people and the keys of a box' '
	umask 077 && echo secret >pass && umask 022 &&
	for k in alice bob; do
		meshanics key generate $k --home $k --passphrase-file pass || return 1
	done &&
	meshanics repo init --home hq --publisher "plant:plant/*/*" -o online-keys.json &&
	meshanics ceremony new --online-keys online-keys.json --root-key alice/keys/alice.pub \
		--root-key bob/keys/bob.pub --targets-key bob/keys/bob.pub --home alice
'

test_expect 'a question nobody can answer names the option as one types it' '
	test_status 2 setsid -w meshanics ceremony sign request.json --home alice --key alice \
		--passphrase-file pass 2>err &&
	grep "^hint: give the answer with --fingerprint$" err
'

test_expect 'a public key where the key is wanted: said so, and nobody is told to change its mode' '
	test_status 2 meshanics key show alice/keys/alice.pub 2>err &&
	grep "is the public part of a key" err && ! grep chmod err &&
	test_status 2 meshanics ceremony sign request.json --key alice/keys/alice.pub --fingerprint 00000000 2>err &&
	grep "^hint: name the key file itself" err
'

test_expect 'an error in the line is JSON wherever --json stands' '
	for line in "--json audit list --limit 5000" "audit list --limit 5000 --json" "audit --json list --limit 5000" \
		"nonsense --json" "--json nonsense" "audit list --nonsense --json"; do
		test_status 2 meshanics $line 2>err && test_json ".error.status == 2" err || return 1
	done &&
	test_status 2 meshanics audit list --limit 5000 2>err && grep "^meshanics: " err
'

test_expect 'verify of a repository that is not there says nothing about it' '
	test_status 1 meshanics repo verify --home empty --json >out 2>err &&
	test ! -s out && test_json ".error.kind == \"not_found\"" err
'

test_expect 'adopt of anything else says what it wants' '
	test_status 3 meshanics repo adopt request.json --home hq 2>err &&
	grep "file 1: neither root nor targets metadata" err && grep "^hint: .*ceremony finish" err
'

test_expect 'a site in force' '
	f=$(meshanics ceremony status request.json --json | jq -r .fingerprint) &&
	[ "$f" != null ] || f=$(meshanics ceremony status request.json --json | jq -r .request) &&
	for k in alice bob; do
		meshanics ceremony sign request.json --key $k --home $k --passphrase-file pass --fingerprint "$f" || return 1
	done &&
	meshanics ceremony finish request.json answer-*.json &&
	meshanics repo adopt root.json targets.json --home hq && meshanics ca init --home hq
'

test_expect 'what cannot be signed or verified is named' '
	test_status 2 meshanics sign . --home hq --namespace plant --name plc --version 1 2>err &&
	grep "cannot sign .\..: not a regular file" err &&
	echo 1 >plc && echo 2 >other && meshanics sign plc --home hq --namespace plant --name plc --version 1 &&
	meshanics verify plc --home hq &&
	test_status 3 meshanics verify plc --key alice/keys/alice.pub 2>err &&
	grep "cannot verify .plc. by .plc.sig.: " err &&
	test_status 3 meshanics verify plc --signature other --home hq 2>err &&
	grep "cannot verify .plc. by .other.: " err
'

test_expect 'a state that does not exist is no empty list' '
	meshanics device list --state active --home hq && meshanics device list --presence never --home hq &&
	meshanics rollout list --state halted --home hq &&
	test_status 2 meshanics device list --state foo --home hq 2>err && grep "^hint: .*decommissioned" err &&
	test_status 2 meshanics device list --presence foo --home hq 2>err && grep "online, offline or never" err &&
	test_status 2 meshanics rollout list --state foo --home hq 2>err && grep "^hint: .*aborted" err
'

test_expect 'a name of 10,000 bytes is called too long, whichever verb it is given to' '
	long=$(head -c 10000 /dev/zero | tr "\0" a) &&
	for verb in "device show" "rollout show" "enroll token revoke" "operator add --role viewer" "device revoke"; do
		test_status 2 meshanics $verb $long --home hq 2>err && grep "longer than any can be" err || return 1
	done &&
	meshanics operator list --home hq --json >out && test_json ".operators == []" out
'

test_expect 'a key of a CA that others can read: refused, with the directory it lies in' '
	chmod 644 hq/control/ca/server.key &&
	test_status 3 meshanics serve --home hq --api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 \
		--device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0 2>err &&
	grep "server CA in control/ca: .server.key. is open to group or others" err &&
	chmod 600 hq/control/ca/server.key
'

test_expect 'a backup that is there stays, and --force is named' '
	umask 077 && echo long-enough >bpass && umask 022 &&
	meshanics backup create --home hq --passphrase-file bpass b && cp b b.old &&
	test_status 1 meshanics backup create --home hq --passphrase-file bpass b 2>err &&
	grep "^hint: .*--force" err && cmp b b.old &&
	meshanics backup create --home hq --passphrase-file bpass --force b
'

test_expect 'a command in a page stays on its line at 80 columns, so that it can be copied' '
	! grep -nE "^[.]Dl .{68,}" "$TEST_SRC"/man/*
'

test_done

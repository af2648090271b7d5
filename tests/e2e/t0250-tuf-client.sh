#!/bin/sh
# The TUF client verb: what it does before any server is asked, and its two exit statuses.
. "$(dirname "$0")/lib.sh"

root=$TEST_DATA/tuf/root

test_expect 'init trusts a root and asks nobody' '
	mkdir m t &&
	meshanics tuf-client --metadata-dir m init "$root/good.json" &&
	cmp m/root.json "$root/good.json" &&
	test "$(ls m/*.json)" = m/root.json
'

test_expect 'a server that is not there is a failure' '
	port=$(test_port) &&
	test_status 1 meshanics tuf-client --metadata-dir m --metadata-url "http://127.0.0.1:$port/" refresh 2>err &&
	grep "cannot get 2.root.json" err &&
	cmp m/root.json "$root/good.json"
'

test_expect 'a root that does not hold is refused before any request' '
	for bad in threshold-zero keyid-chosen-freely expires-never version-true signature-twice cut-short; do
		rm -rf bad && mkdir bad &&
		meshanics tuf-client --metadata-dir bad init "$root/$bad.json" &&
		test_status 1 meshanics tuf-client --metadata-dir bad --metadata-url http://127.0.0.1:1/ refresh 2>err &&
		grep "trusted root" err && ! grep "cannot get" err || return 1
	done
'

test_expect 'without init there is nothing to trust' '
	mkdir empty &&
	test_status 1 meshanics tuf-client --metadata-dir empty --metadata-url http://127.0.0.1:1/ refresh 2>err &&
	grep "init ROOT" err
'

test_expect 'the trusted state is read without a server' '
	test_status 1 meshanics tuf-client --metadata-dir m status >out 2>err &&
	grep "^root  *1 .* good" out && grep "^timestamp  *-  *-  *missing" out && grep "^refreshed never" out &&
	grep "refresh first" err &&
	test_status 1 meshanics tuf-client --metadata-dir m status --json >out 2>err &&
	test "$(jq -r .root.state,.targets.state out)" = "good
missing" &&
	jq -e "has(\"refreshed\") | not" out &&
	echo torn >m/root.json &&
	test_status 1 meshanics tuf-client --metadata-dir m status >out 2>err && grep "^root  *- .* damaged" out
'

test_expect 'a state under an anchor that does not hold is refused' '
	mkdir held && meshanics tuf-client --metadata-dir held init "$root/threshold-zero.json" &&
	test_status 1 meshanics tuf-client --metadata-dir held status 2>err && grep "trusted root" err
'

test_expect 'options that are missing are named' '
	test_status 1 meshanics tuf-client init "$root/good.json" 2>err && grep "metadata-dir is needed" err &&
	test_status 1 meshanics tuf-client --metadata-dir m refresh 2>err && grep "metadata-url is needed" err &&
	test_status 1 meshanics tuf-client --metadata-dir m --metadata-url http://127.0.0.1:1/ download 2>err &&
	grep "target-name is needed" err &&
	test_status 1 meshanics tuf-client --metadata-dir m upload 2>err && grep "not .init ROOT." err &&
	test_status 1 meshanics tuf-client --metadata-dir fresh status 2>err && grep "init ROOT" err && test ! -e fresh &&
	test_status 1 meshanics tuf-client --metadata-dir m --metadata-url https://127.0.0.1:1/ refresh 2>err &&
	grep "does not begin with http://" err &&
	test_status 1 meshanics tuf-client --metadata-dir m --metadata-url http://127.0.0.1:1/ refresh --json 2>err &&
	test_json ".error.kind == \"retry\" and .error.status == 1" err
'

test_done

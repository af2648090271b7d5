#!/bin/sh
# A repository: adoption, status and schedule, and what repo verify finds.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq

test_expect 'before the ceremony there is a repository, but nothing in it' '
	test_status 1 as hq repo status 2>err && grep "repo init" err &&
	site_init hq &&
	test_status 1 as hq repo status 2>err && grep "no root yet" err &&
	test_status 1 as hq repo status --json >out.json 2>err && test_json ".verdict == \"not_adopted\" and .next == []" out.json &&
	test_status 1 as hq repo refresh 2>err && grep "no root yet" err &&
	test_status 3 as hq repo verify 2>err && grep "no root yet" err &&
	test_status 1 site_init hq 2>err && grep "already" err &&
	test_status 3 as other repo init --site "Bad Site" && test_status 2 as other repo init --publisher "releases" &&
	test_status 2 as other repo init --publisher "a:x/*/*" --timestamp-life 0 &&
	test_status 3 as other repo init --publisher "a:x/*/*" --publisher "b:x/y/*" 2>err && grep overlaps err &&
	test ! -e other/repo/online-keys.json
'

test_expect 'adoption puts root and targets in force' '
	signer alice && signer bob && signer carol && site_ceremony hq &&
	test_status 2 as hq repo adopt hq.out/root.json 2>err && grep "no targets" err &&
	test_status 2 as hq repo adopt hq.out/targets.json 2>err && grep "no root" err &&
	test_status 1 as hq repo adopt nowhere.json &&
	as hq repo adopt hq.out/targets.json hq.out/root.json >out && grep "root     version 1, new" out &&
	as hq repo adopt hq.out/root.json hq.out/targets.json --json >out.json &&
	test_json ".root_version == 1 and .roots == 0 and .targets == 0" out.json &&
	cmp hq.out/root.json hq/repo/metadata/1.root.json &&
	ls hq/repo/metadata >list && test "$(wc -l <list)" = 5
'

test_expect 'refused files change nothing' '
	find hq/repo -type f -exec cksum {} + | sort >before &&
	jq ".signed.version = 2" hq.out/root.json >v2.json &&
	jq "del(.signatures[0])" hq.out/root.json >one.json &&
	jq ".signed.version = 5" hq.out/targets.json >t5.json &&
	jq ".signed.expires = \"2030-01-01T00:00:00Z\"" hq.out/targets.json >later.json &&
	head -c 300 hq.out/root.json >cut.json &&
	for f in v2 one t5 later cut; do
		test_status 3 as hq repo adopt $f.json || return 1
	done &&
	test_status 3 as hq repo adopt hq.request.json && test_status 3 as hq repo adopt hq.alice.json &&
	find hq/repo -type f -exec cksum {} + | sort >after && cmp before after
'

test_expect 'status says what expires when, and fails in time' '
	as hq repo status >out && cat out && grep "timestamp .* by this box .* ok" out && grep "root .* by ceremony" out &&
	grep "^next  targets, by .*ceremony rotate" out &&
	as hq repo status --json >out.json && test_json ".adopted and (.roles | length) == 5" out.json &&
	test_json ".verdict == \"ok\" and .within_s == 604800 and .next[0].role == \"targets\"" out.json &&
	test_json "all(.roles[]; .state == \"ok\" and .renew_by < .expires)" out.json &&
	test_json ".roles[] | select(.role == \"targets\") | .signed_by == \"ceremony\" and
		(.expires_s - (.renew_by | fromdate)) == 604800" out.json &&
	as hq repo status --within 179d &&
	test_status 1 as hq repo status --within 181d >out 2>err && grep "targets expires in" err && grep "hint: hold a ceremony" err &&
	grep "^next  targets, now" out && test_status 1 as hq repo status --within 181d --json >out.json 2>err &&
	test_json ".verdict == \"expiring\" and (.next | length) == 1" out.json &&
	test_status 2 as hq repo status --within soon
'

test_expect 'refresh signs what is due, and more with --force' '
	as hq repo refresh >out && grep "nothing is due" out &&
	before=$(jq .signed.version hq/repo/metadata/timestamp.json) &&
	as hq repo refresh --force >out && grep "signed snapshot" out && grep "signed 1 publisher" out &&
	test "$(jq .signed.version hq/repo/metadata/timestamp.json)" -gt "$before" &&
	as hq repo refresh --timestamp-life 1s && sleep 1.1 &&
	test_status 1 as hq repo status >out 2>err && grep "timestamp expired" err && grep "^next  timestamp, now: .*repo refresh" out &&
	test_status 1 as hq repo status --json >out.json 2>err && test_json ".verdict == \"expired\"" out.json &&
	test_status 3 as hq repo verify 2>err && grep -i "timestamp .*expired" err &&
	as hq repo refresh >out && grep "signed timestamp" out && ! grep snapshot out &&
	as hq repo status && as hq repo verify
'

test_expect 'superseded files are swept, roots stay' '
	for i in 1 2 3 4 5 6 7 8 9 10; do as hq repo refresh --force >/dev/null || return 1; done &&
	test "$(ls hq/repo/metadata/*.snapshot.json | wc -l)" = 9 &&
	test "$(ls hq/repo/metadata/*.releases.json | wc -l)" = 9 &&
	test -e hq/repo/metadata/1.root.json && as hq repo verify
'

test_expect 'verify names what is wrong, byte by byte' '
	head -c 100000 /dev/zero >zero && echo two >two &&
	as hq sign zero --namespace plant --name zero --version 1 &&
	as hq sign two --namespace plant --name two --version 1 &&
	as hq repo verify >out && grep "1 root, 1 publisher, 2 targets, 100004 bytes" out &&
	z=$(ls hq/repo/targets/plant/zero/*) && t=$(ls hq/repo/targets/plant/two/*) &&
	test_flip "$z" 77777 &&
	test_status 3 as hq repo verify >out 2>err && grep "zero/.*SHA-256 is not the signed one" out &&
	rm "$t" &&
	test_status 3 as hq repo verify --json >out.json 2>err && test_json ".ok == false and (.findings | length) == 2" out.json &&
	grep "2 findings" err
'

test_expect 'signing the same bytes again heals the tree' '
	as hq sign zero --namespace plant --name zero --version 1 >out && grep "published so already" out &&
	as hq sign two --namespace plant --name two --version 1 &&
	as hq repo verify
'

test_expect 'damaged metadata is found, and is the matter of its publisher alone' '
	f=$(ls -t hq/repo/metadata/*.releases.json | head -1) && cp "$f" saved &&
	test_flip "$f" 200 &&
	test_status 3 as hq repo verify >out && grep "releases.json" out &&
	as hq repo refresh --force >out && grep "signed timestamp" out && ! grep publisher out &&
	test_status 3 as hq sign two --namespace plant --name three --version 1 2>err && grep damaged err &&
	cp saved "$f" && as hq repo verify && as hq sign two --namespace plant --name three --version 1
'

test_expect 'a replayed timestamp is found by its own signature, not by luck' '
	cp hq/repo/metadata/timestamp.json old.json &&
	jq ".signed.expires = \"2040-01-01T00:00:00Z\"" old.json >hq/repo/metadata/timestamp.json &&
	test_status 3 as hq repo verify && test_status 3 as hq repo refresh 2>err && cat err &&
	cp old.json hq/repo/metadata/timestamp.json && as hq repo verify
'

test_expect 'keys that others can read are not used' '
	chmod 644 hq/repo/keys/timestamp.key &&
	test_status 3 as hq repo refresh --force 2>err && grep "timestamp.key" err && grep "chmod 600" err &&
	chmod 600 hq/repo/keys/timestamp.key && as hq repo refresh --force
'

test_expect 'two at a time: the second is told to try again' '
	mkdir -p hq/control &&
	perl -e "use Fcntl; open(my \$f, q(+>>), q(hq/control/lock)) or die; my \$l = pack(q(s s x4 q q i), F_WRLCK, 0, 0, 0, 0); fcntl(\$f, 37, \$l) or die; sleep 3" &
	sleep 0.5; test_status 4 as hq repo refresh --force 2>err; r=$?; wait; cat err; test $r = 0
'

test_done

#!/bin/sh
# The audit trail: what is recorded, exported and signed; every kind of tampering; other programs check it too.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq sqlite3

hq() { meshanics "$@" --home hq; }
# The trail as somebody with the file and a shell leaves it, in a home of its own.
tampered() {
	rm -rf bad && mkdir bad && cp -r hq/control hq/repo bad/ &&
		sqlite3 bad/control/meshanics.db "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;
			DROP TRIGGER audit_in_order; $1"
}

test_expect 'a site, and some things done and refused in it' '
	fleet_site &&
	hq operator add alice --role operator --out alice.token &&
	test_status 1 hq operator add alice --role admin &&
	test_status 1 hq rollout pause 7 &&
	test_status 1 hq device revoke nobody &&
	hq audit list --json >out &&
	test_json "[.records[] | select(.verdict == \"failed\")] | length == 3" out &&
	test_json ".records[0].seq == (.records | length)" out
'
test_expect 'listings are narrowed' '
	hq audit list --action operator. --json >out && test_json "[.records[].action] | unique == [\"operator.add\"]" out &&
	hq audit list --object rollout:7 >out && grep "rollout.pause *rollout:7 *failed" out &&
	hq audit list --limit 1 --json >out && test_json ".records | length == 1" out &&
	hq audit list --since 1h --json >out && test_json ".records | length > 3" out &&
	test_status 2 hq audit list --limit 0 &&
	test_status 2 hq audit list --since yesterday
'
test_expect 'the trail is intact, and its head can be written down' '
	hq audit verify >out && grep "^intact" out &&
	sed -n "s/^head: //p" out >head.txt &&
	hq operator revoke alice &&
	hq audit verify --head "$(cat head.txt)" >out && grep "extending the head given" out
'
test_expect 'an export is checked on another machine, with the public key only' '
	hq audit export -o trail.ndjson 2>err && grep "of site .main." err &&
	cp hq/repo/keys/record-site.pub . &&
	meshanics audit verify trail.ndjson --home nowhere --key record-site.pub --json >out &&
	test_json ".intact and .signed and .site == \"main\"" out &&
	test ! -e nowhere &&
	hq audit export >stdout.ndjson && cmp -s trail.ndjson stdout.ndjson || diff trail.ndjson stdout.ndjson | grep -c head
'
test_expect 'without a key, or with another, it is not believed' '
	test_status 2 meshanics audit verify trail.ndjson --home nowhere 2>err && grep -e --key err &&
	test_status 3 meshanics audit verify trail.ndjson --home nowhere --key off/keys/root1.pub 2>err &&
	grep "record key" err &&
	meshanics audit verify trail.ndjson --home nowhere --chain-only >out && grep "not checked for a signature" out &&
	test_status 2 meshanics audit verify trail.ndjson --home nowhere --chain-only --key record-site.pub &&
	test_status 2 meshanics audit verify --home nowhere --key record-site.pub
'
test_expect 'sha256sum and jq come to the same hashes' '
	head -n -1 trail.ndjson | while read -r line; do
		want=$(printf "%s" "$line" | jq -r .hash) &&
		got=$(printf "%s" "$line" | jq -cS "del(.hash)" | tr -d "\n" | sha256sum | cut -c 1-64) &&
		test "$want" = "$got" || exit 1
	done
'
if command -v ssh-keygen >/dev/null; then
	test_expect 'OpenSSH verifies the head' '
		openssh=$(ssh-keygen -i -m PKCS8 -f record-site.pub 2>/dev/null) ||
			openssh=$(hq key export record-site --public --format ssh 2>/dev/null) || openssh=
		if [ -z "$openssh" ]; then
			raw=$(openssl pkey -pubin -in record-site.pub -outform DER | tail -c 32 | base64) &&
			openssh="ssh-ed25519 $( (printf "\0\0\0\013ssh-ed25519\0\0\0 "; echo "$raw" | base64 -d) | base64 -w 0)"
		fi &&
		echo "main $openssh" >allowed &&
		tail -n 1 trail.ndjson | jq -j .head >head &&
		tail -n 1 trail.ndjson | jq -j .signature >head.sig &&
		ssh-keygen -Y verify -f allowed -I main -n meshanics-audit -s head.sig <head &&
		! ssh-keygen -Y verify -f allowed -I main -n meshanics-artifact -s head.sig <head
	'
else
	test_skip 'OpenSSH verifies the head' 'ssh-keygen is not installed'
fi
test_expect 'an increment continues a witnessed export' '
	hq operator add bob --role viewer --out bob.token &&
	next=$(($(tail -n 1 trail.ndjson | jq -r .head | jq .seq) + 1)) &&
	hq audit export --from $next -o more.ndjson &&
	meshanics audit verify more.ndjson --key record-site.pub --head trail.ndjson >out && grep "records $next to" out &&
	test_status 3 meshanics audit verify more.ndjson --key record-site.pub 2>err && grep "begins at record $next" err &&
	test_status 3 meshanics audit verify trail.ndjson --key record-site.pub --head more.ndjson 2>err &&
	grep "the end is missing" err &&
	test_status 2 hq audit export --from 1000
'
test_expect 'a changed, removed or invented line of an export is found' '
	sed "3s/operator/Operator/" trail.ndjson >t && test_status 3 meshanics audit verify t --key record-site.pub 2>err &&
	grep "audit record 3 was changed" err &&
	sed 3d trail.ndjson >t && test_status 3 meshanics audit verify t --key record-site.pub 2>err &&
	grep "audit record 3 is missing" err &&
	sed 3p trail.ndjson >t && test_status 3 meshanics audit verify t --key record-site.pub 2>err &&
	grep "stands after" err &&
	head -n 4 trail.ndjson >t && test_status 3 meshanics audit verify t --key record-site.pub 2>err &&
	grep "cut short" err &&
	(head -n 4 trail.ndjson; tail -n 1 trail.ndjson) >t && test_status 3 meshanics audit verify t --key record-site.pub 2>err &&
	grep "the end is missing" err &&
	tail -n 1 trail.ndjson | jq -c ".head |= sub(\"main\"; \"mine\")" >last &&
	(head -n -1 trail.ndjson; cat last) >t && test_status 3 meshanics audit verify t --key record-site.pub &&
	echo "{}" >>trail.ndjson && test_status 3 meshanics audit verify trail.ndjson --key record-site.pub &&
	: >t && test_status 3 meshanics audit verify t --key record-site.pub &&
	head -c 100000 /dev/zero | tr "\0" "[" >t && test_status 3 meshanics audit verify t --key record-site.pub
'
test_expect 'a row that was edited with sqlite3 is found and named' '
	tampered "UPDATE audit SET actor = '\''operator:eve'\'' WHERE seq = 3" &&
	test_status 3 meshanics audit verify --home bad 2>err && grep "audit record 3 was changed" err &&
	meshanics audit export --home bad -o bad.ndjson 2>err && grep "not intact" err &&
	test_status 3 meshanics audit verify bad.ndjson --key record-site.pub 2>err && grep "record 3" err
'
test_expect 'a row that was removed is found and named' '
	tampered "DELETE FROM audit WHERE seq = 4" &&
	test_status 3 meshanics audit verify --home bad 2>err && grep "audit record 4 is missing" err
'
test_expect 'a tail that was cut is found against a head that was written down' '
	hq audit verify | sed -n "s/^head: //p" >head.txt &&
	tampered "DELETE FROM audit WHERE seq > 4" &&
	meshanics audit verify --home bad &&
	test_status 3 meshanics audit verify --home bad --head "$(cat head.txt)" 2>err && grep "the end is missing" err
'
test_expect 'a history that was written anew is found against it, too' '
	tampered "DELETE FROM audit WHERE seq > 2" &&
	for n in 1 2 3 4 5 6 7 8 9; do meshanics rollout pause $n --home bad 2>/dev/null; done
	meshanics audit verify --home bad &&
	test_status 3 meshanics audit verify --home bad --head "$(cat head.txt)" 2>err && grep "not the one that was witnessed" err
'
test_expect 'sqlite3 alone is stopped by the triggers' '
	! sqlite3 hq/control/meshanics.db "UPDATE audit SET actor = 1" 2>err && grep "append-only" err &&
	! sqlite3 hq/control/meshanics.db "DELETE FROM audit" 2>err && grep "append-only" err &&
	! sqlite3 hq/control/meshanics.db "DELETE FROM transitions WHERE 0; INSERT INTO audit SELECT seq + 1000, time_s, actor,
		action, object, verdict, detail, prev, hash FROM audit WHERE seq = 1" 2>err && grep "append-only" err
'
test_done

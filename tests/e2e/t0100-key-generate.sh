#!/bin/sh
# key generate, list, show: what is made, what is refused, and that nothing is ever overwritten.
. "$(dirname "$0")/lib.sh"
test_need jq openssl

MESHANICS_HOME=$TEST_DIR/home
export MESHANICS_HOME
echo 'correct horse' >pass && chmod 600 pass

test_expect 'an empty home has no keys' '
	meshanics key list >out 2>err &&
	test ! -s out && grep "no keys in" err &&
	meshanics key list --json >out && test_json ".keys == [] and .unreadable == []" out
'
test_expect 'a sealed key is made' '
	meshanics key generate --passphrase-file pass --comment "Alice, safe 3" alice >out 2>err &&
	test ! -s err &&
	grep "^secret *sealed" out && grep "^scheme *ed25519" out && grep "^comment *Alice, safe 3" out &&
	test "$(stat -c %a home/keys)" = 700 &&
	test "$(stat -c %a home/keys/alice.key)" = 600 &&
	test "$(stat -c %a home/keys/alice.pub)" = 644 &&
	test_json ".header.kdf.name == \"argon2id\" and (.sealed | length) == 96 and .secret == null" home/keys/alice.key
'
test_expect 'an unsealed key is made only when asked for, with a warning' '
	meshanics key generate --unsealed online --json >out 2>err &&
	grep "holds this key" err &&
	test_json ".name == \"online\" and .sealed == false and .scheme == \"ed25519\"" out &&
	test_json ".header.kdf == null and (.secret | length) == 64" home/keys/online.key
'
test_expect 'a P-256 key is made when asked for' '
	meshanics key generate --unsealed --scheme ecdsa-sha2-nistp256 p256 --json >out &&
	test_json ".key.keytype == \"ecdsa\" and .key.scheme == \"ecdsa-sha2-nistp256\"" out
'
test_expect 'the time of birth is the clock, in UTC' '
	meshanics key generate --unsealed --json dated >out 2>err &&
	test_json "(.created | fromdate) > (now - 60) and (.created | fromdate) <= now" out
'
test_expect 'the key id is the SHA-256 of the canonical key object' '
	meshanics key show --json alice >out &&
	jq -cjS .key out | sha256sum | cut -d" " -f1 >want && jq -r .keyid out >got && cmp want got &&
	meshanics key show alice | grep "^key id *$(cat want)$"
'
test_expect 'the public file and the exported PEM are one' '
	meshanics key export alice >out && cmp out home/keys/alice.pub &&
	openssl pkey -pubin -in home/keys/alice.pub -noout -text | grep -i ed25519
'
test_expect 'list shows them all, in order' '
	meshanics key list >out && sed 1d out | cut -d" " -f1 >names &&
	printf "alice\ndated\nonline\np256\n" | cmp - names &&
	meshanics key list --json >out && test_json "[.keys[].name] == [\"alice\", \"dated\", \"online\", \"p256\"]" out
'
test_expect 'a key that exists is never overwritten' '
	sha256sum home/keys/alice.* >before &&
	test_status 1 meshanics key generate --unsealed alice 2>err &&
	grep "key .alice. exists already" err && grep "never overwritten" err &&
	sha256sum -c before
'
test_expect 'a public file in the way is not overwritten either, and no key is left behind' '
	echo theirs >home/keys/carol.pub &&
	test_status 1 meshanics key generate --unsealed carol 2>err &&
	grep "carol.pub. exists already" err &&
	test "$(cat home/keys/carol.pub)" = theirs && test ! -e home/keys/carol.key
'
test_expect 'bad names are refused before anything is made' '
	for name in ../evil a/b .hidden -x Upper "" "a b" "$(printf "a\033[2J")" "$(head -c 64 /dev/zero | tr "\0" a)" \
		"$(head -c 10000 /dev/zero | tr "\0" a)" a..b alice.key alice.pub; do
		test_status 2 meshanics key generate --unsealed -- "$name" 2>err || return 1
		! grep "$(printf "\033")" err || return 1
	done &&
	test ! -e home/evil.key && test ! -e home/keys/evil.key &&
	test "$(ls home/keys | grep -c key$)" = 4
'
test_expect 'bad options are refused' '
	test_status 2 meshanics key generate --unsealed --scheme rsassa-pss-sha256 x 2>err &&
	grep "give ed25519 or" err &&
	test_status 2 meshanics key generate --unsealed --passphrase-file pass x 2>err &&
	grep "exclude each other" err &&
	test_status 2 meshanics key generate --unsealed --comment "two
lines" x 2>err &&
	test_status 2 meshanics key generate --unsealed --comment "$(head -c 128 /dev/zero | tr "\0" a)" x 2>err &&
	grep "127 is the most" err &&
	test_status 2 meshanics key generate 2>err &&
	test_status 2 meshanics key generate --unsealed x y 2>err &&
	test ! -e home/keys/x.key
'
test_expect 'without a terminal and without a flag, the way out is told' '
	test_status 2 setsid meshanics key generate x 2>err </dev/null &&
	grep "passphrase-file FILE" err && test ! -e home/keys/x.key
'
test_expect 'an empty passphrase is no passphrase' '
	: >empty && chmod 600 empty &&
	test_status 2 meshanics key generate --passphrase-file empty x 2>err &&
	grep "is empty" err && test ! -e home/keys/x.key
'
test_expect 'a passphrase file that others can read is refused' '
	cp pass loose && chmod 644 loose &&
	test_status 3 meshanics key generate --passphrase-file loose x 2>err &&
	grep "chmod 600" err && test ! -e home/keys/x.key
'
test_expect 'a key that is not there is told apart from a broken one' '
	test_status 1 meshanics key show nobody 2>err && grep "no key .nobody." err && grep "key list" err &&
	test_status 1 meshanics key show ./nobody.key 2>err && test_status 2 meshanics key show Nobody 2>err
'
test_expect 'a path with a slash names any key file' '
	cp home/keys/alice.key stick.key && meshanics key show ./stick.key >out && grep "^name *alice" out
'
test_done

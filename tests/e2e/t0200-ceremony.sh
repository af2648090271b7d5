#!/bin/sh
# Ceremonies between machines that share nothing but files: each directory stands for one of them.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq openssl xxd

test_expect 'three people make keys, one of them sealed; a stranger has one, too' '
	echo "a long walk" >pass && chmod 600 pass &&
	as alice key generate alice --passphrase-file pass && cp alice/keys/alice.pub . &&
	signer bob && signer carol && signer mallory
'

test_expect 'the box makes its online keys and tells their public part' '
	site_init hq &&
	test_json ".format == \"meshanics online keys 1\" and .site == \"main\"" hq.online.json &&
	test_json ".publishers[0].slices == [\"plant/*/*\"]" hq.online.json &&
	test_json ".record_keys | (.site | length) == 1 and (.export | length) == 1" hq.online.json &&
	! grep -i secret hq.online.json &&
	cmp hq.online.json hq/repo/online-keys.json &&
	test "$(stat -c %a hq/repo/keys/snapshot.key)" = 600
'

test_expect 'the request says in plain words what will be signed' '
	site_request hq request.json >out 2>told &&
	grep "any 2 of these 3 keys may replace this root" out &&
	grep "any 1 of these 2 keys may say who publishes what" out &&
	grep "called .carol. in the request" out &&
	grep "publisher .releases. may publish what matches" out &&
	grep "plant/\*/\*" out &&
	grep "^fingerprint  [0-9a-f]\{64\}$" out
'

test_expect 'the digits to tell are shown in groups of four' '
	fp=$(fingerprint request.json) && test ${#fp} = 16 &&
	grep "tell every signer the first 16 digits of the fingerprint, .*: $(echo "$fp" | sed "s/..../& /g; s/ $//")$" told
'

test_expect 'nothing is overwritten' '
	cp request.json before &&
	test_status 1 site_request hq request.json 2>err && grep "exists already" err &&
	cmp before request.json
'

test_expect 'the digits that have to be typed are not on the screen of the signer' '
	test_status 2 as carol ceremony sign request.json --key carol >out 2>err &&
	grep "any 2 of these 3 keys may replace this root" out &&
	grep "^fingerprint    ?\{16\}[0-9a-f]\{48\}$" out && ! grep "$fp" out err && ! grep "$(echo "$fp" | cut -c 9-)" out err &&
	grep "type the first 16 digits" err && grep -e "--fingerprint" err
'

# carol_types STATUS SAYS DIGITS: and nothing is signed.
carol_types() {
	test_status "$1" as carol ceremony sign request.json --key carol --fingerprint "$3" 2>err &&
		grep "$2" err && grep "^hint: " err && test ! -e answer-carol.json
}

test_expect 'wrong digits sign nothing, be it the last one alone' '
	last=$(echo "$fp" | cut -c 16 | tr 0-9a-f 1-9a-f0) &&
	carol_types 3 "does not begin with" 0000000000000000 &&
	carol_types 3 "does not begin with .${fp%?}$last." "${fp%?}$last" &&
	carol_types 3 "does not begin with .$fp${fp}." "$fp$fp"
'

test_expect 'fewer than 16 sign nothing: how many were given, how many are needed, where they stand' '
	carol_types 2 "given 15 digits of the fingerprint, at least the first 16 are needed" "${fp%?}" &&
	grep "^hint: .* 16 digits stand on the screen of the one who made the request" err &&
	carol_types 2 "given 8 digits" "$(echo "$fp" | cut -c 1-8)" &&
	carol_types 2 "given 15 digits" "$(echo "${fp%?}" | sed "s/..../& /g")" &&
	carol_types 2 "given 0 digits" ""
'

test_expect 'what is no hex digit signs nothing' '
	carol_types 2 ".g. is no digit of the fingerprint" "${fp%?}g" &&
	carol_types 2 ".:. is no digit of the fingerprint" "$(echo "$fp" | sed "s/..../&:/g")" &&
	carol_types 2 ".?. is no digit of the fingerprint" "????????????????" &&
	carol_types 2 "has 64 digits, no more" "$fp$fp$fp$fp$fp"
'

if command -v script >/dev/null; then
	# at_terminal DIGITS: carol is asked, and types these.
	at_terminal() {
		{ sleep 1 && echo "$1" && sleep 1; } |
			script -qec "meshanics ceremony sign request.json --home carol --key carol -o typed.json" /dev/null >out
	}
	test_expect 'at a terminal the digits are asked for, and eight of them are too few' '
		! at_terminal "$(echo "$fp" | cut -c 1-8)" && grep "type the first 16 digits of the fingerprint" out &&
		grep "given 8 digits" out && test ! -e typed.json &&
		! at_terminal "${fp%?}$last" && grep "does not begin with" out && test ! -e typed.json &&
		at_terminal "$(echo "$fp" | sed "s/..../& /g")" && test -e typed.json
	'
else
	test_skip 'at a terminal the digits are asked for' 'script is not installed'
fi


test_expect 'a key that is not named signs nothing' '
	test_status 3 as mallory ceremony sign request.json --key mallory --fingerprint "$fp" 2>err &&
	grep "not named in this request" err && test ! -e answer-mallory.json
'

test_expect 'carol signs, with capital digits and spaces; bob is at sea' '
	typed=$(echo "$fp" | tr a-f A-F | sed "s/..../& /g") &&
	as carol ceremony sign request.json --key carol --fingerprint "$typed" &&
	test_json ".format == \"meshanics ceremony answer 1\" and .signatures.root and (.signatures.targets | not)" answer-carol.json &&
	test "$(stat -c %s answer-carol.json)" -lt 2048
'

test_expect 'status says who is missing' '
	as alice ceremony status request.json answer-carol.json >out &&
	grep "root version 1, by the keys of root: 1 of the 2" out &&
	grep "missing .* alice" out && grep "signed .* carol" out && grep "^not complete" out &&
	as alice ceremony status request.json answer-carol.json --json >out.json &&
	test_json ".complete == false and .signatures[0].signed == 1 and .signatures[1].signed == 0" out.json
'

test_expect 'too few signatures make no root' '
	test_status 3 as alice ceremony finish request.json answer-carol.json 2>err &&
	grep "root has 1 of the 2 signatures" err && grep "missing: .*alice" err && test ! -e root.json
'

test_expect 'the same signature twice is still one' '
	cp answer-carol.json again.json &&
	test_status 3 as alice ceremony finish request.json answer-carol.json again.json 2>err &&
	grep "has answered already" err && grep "1 of the 2" err && test ! -e root.json
'

test_expect 'a wrong passphrase signs nothing' '
	echo wrong >bad && chmod 600 bad &&
	test_status 3 as alice ceremony sign request.json --key alice --fingerprint "$fp" --passphrase-file bad &&
	test ! -e answer-alice.json
'

test_expect 'alice signs root and targets with one key' '
	as alice ceremony sign request.json --key alice --fingerprint "$fp" --passphrase-file pass &&
	test_json ".signatures | has(\"root\") and has(\"targets\")" answer-alice.json
'

test_expect 'a tampered answer is named, and ends the ceremony' '
	flip="(if .[0:1] == \"0\" then \"1\" else \"0\" end) + .[1:]" &&
	for change in ".signed_at = \"2027-01-01T00:00:00Z\"" ".site = \"depot\"" ".signatures.root |= $flip" \
		".signatures.targets = .signatures.root" ".request |= $flip" ".signer.keyval.public |= $flip" \
		".proof |= sub(\"A\"; \"B\")" ".more = 1" "del(.proof)"; do
		jq "$change" answer-carol.json >bad.json &&
		test_status 3 as alice ceremony finish request.json answer-alice.json bad.json 2>err &&
		grep bad.json err && test ! -e root.json || return 1
		test_status 3 as alice ceremony status request.json bad.json >out && grep "NOT COUNTED" out || return 1
	done
'

test_expect 'a tampered request is another request, or none' '
	jq ".targets.delegations.roles[0].paths = [\"*/*/*\"]" request.json >wide.json &&
	test "$(fingerprint wide.json)" != "$fp" &&
	test_status 3 as alice ceremony sign wide.json --key alice --fingerprint "$fp" --passphrase-file pass -o no.json &&
	test_status 3 as alice ceremony finish wide.json answer-alice.json answer-carol.json 2>err &&
	grep "answers another request" err &&
	jq ".site = \"depot\"" request.json >other.json &&
	test_status 3 as carol ceremony status other.json 2>err && grep "root is for site .main." err &&
	jq ".root.roles.root.threshold = 4" request.json >four.json &&
	test_status 3 as carol ceremony status four.json 2>err && grep "wants 4" err &&
	head -c 500 request.json >cut.json &&
	test_status 3 as carol ceremony status cut.json
'

test_expect 'two of three finish it' '
	as alice ceremony finish request.json answer-alice.json answer-carol.json >out &&
	grep "root version 1: ./root.json" out &&
	test_json ".signed._type == \"root\" and .signed[\"x-meshanics\"].site == \"main\"" root.json &&
	test_json ".signatures | length == 2" root.json && test_json ".signatures | length == 1" targets.json
'

test_expect 'openssl alone verifies a signature over the canonical root' '
	jq -Sjc .signed root.json >signed &&
	id=$(jq -r ".signatures[0].keyid" root.json) &&
	jq -r ".signatures[0].sig" root.json | xxd -r -p >sig &&
	(echo 302a300506032b6570032100; jq -r ".signed.keys[\"$id\"].keyval.public" root.json) | tr -d "\n" | xxd -r -p >key.der &&
	openssl pkeyutl -verify -pubin -inkey key.der -keyform DER -rawin -in signed -sigfile sig &&
	printf x >>signed &&
	! openssl pkeyutl -verify -pubin -inkey key.der -keyform DER -rawin -in signed -sigfile sig
'

test_expect 'the box takes what its ceremony made, and no other' '
	test_status 3 as hq repo adopt request.json &&
	as hq repo adopt root.json targets.json &&
	site_init depot --site depot-7 &&
	test_status 3 as depot repo adopt root.json targets.json 2>err && grep "for site .main., this repository is site .depot-7." err &&
	site_init twin &&
	test_status 3 as twin repo adopt root.json targets.json 2>err && grep "own snapshot key" err
'

test_expect 'plans that make no sense are refused' '
	test_status 2 as alice ceremony new -o n.json 2>err && grep -e "--root-key" err &&
	test_status 2 as alice ceremony new --online-keys hq.online.json --root-key alice.pub --root-threshold 2 --targets-key bob.pub -o n.json &&
	test_status 3 as alice ceremony new --online-keys hq.online.json --root-key alice.pub --root-key alice.pub --targets-key bob.pub -o n.json 2>err &&
	grep "are the same key" err &&
	test_status 3 site_request depot n.json --site main 2>err && grep "is of site .depot-7." err &&
	test_status 3 site_request hq n.json --publisher "a:x/*/*" --publisher "releases:*/y/*" 2>err || test_status 2 site_request hq n.json --publisher "a:x/*/*" &&
	test_status 2 site_request hq n.json --publisher "releases:../*/*" &&
	test_status 3 as alice ceremony new --online-keys hq.online.json --root-key alice/keys/alice.key --targets-key bob.pub -o n.json 2>err && grep "never the NAME.key" err &&
	test ! -e n.json
'

test_expect 'a rehearsal goes the same way and leads nowhere' '
	mkdir practice && cd practice &&
	as alice ceremony new --rehearsal --signers 2 --root-threshold 1 >out && grep "^REHEARSAL" out &&
	f=$(fingerprint request.json) &&
	as alice ceremony sign request.json --key ./rehearsal-1.key --fingerprint "$f" &&
	as alice ceremony finish request.json answer-rehearsal-1.json &&
	test_status 3 as twin repo adopt root.json targets.json 2>err && grep "comes from a rehearsal" err &&
	test_status 3 as carol ceremony sign request.json --key carol --fingerprint "$f" 2>err && grep "throwaway keys" err &&
	test_status 3 as alice ceremony sign ../request.json --key ./rehearsal-1.key --fingerprint "$fp" 2>err &&
	grep "throwaway key of a rehearsal" err &&
	test_status 3 as alice ceremony new --rehearsal --root-key ../alice.pub -o x.json 2>err && grep "takes no real keys" err
'

test_expect 'targets is renewed and a publisher added by its one signer' '
	signer ci &&
	as bob ceremony delegate --root root.json --targets targets.json --publisher "ci:lab/*/*" --key ci.pub -o next.json >out &&
	grep "publisher .ci. is new" out &&
	f=$(fingerprint next.json) &&
	test_status 3 as carol ceremony sign next.json --key carol --fingerprint "$f" 2>err && grep "not named" err &&
	as bob ceremony sign next.json --key bob --fingerprint "$f" -o next-bob.json &&
	mkdir next && as bob ceremony finish next.json next-bob.json -o next && test ! -e next/root.json &&
	as hq repo adopt next/targets.json >out && grep "targets  version 2, new" out &&
	test_status 3 as hq repo adopt targets.json 2>err && grep "older than version 2" err &&
	as bob ceremony delegate --root root.json --targets next/targets.json --remove ci -o gone.json >out &&
	grep "may publish NOTHING any more" out &&
	as bob ceremony delegate --root root.json --targets next/targets.json -o same.json >out &&
	grep "no publisher changes" out
'

test_expect 'each machine has its transcript, and a changed line shows' '
	as alice ceremony status >out && grep "finish" out && grep "^head [0-9a-f]\{64\}$" out &&
	test_status 0 as carol ceremony status &&
	sed -i "1s/first root/other root/" alice/ceremony/transcript &&
	test_status 3 as alice ceremony status 2>err && grep "line 2: it does not follow" err &&
	test_status 3 as alice ceremony delegate --root root.json --targets targets.json -o t.json && test ! -e t.json
'

test_done

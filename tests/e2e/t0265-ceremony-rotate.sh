#!/bin/sh
# Rotations beside the stories: what is refused, answers over days, boxes that come late or come anew.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq faketime

# rotate OUT ARG...: alice's request for the root after hq.out/root.json
rotate() {
	rotate_o=$1
	shift
	as alice ceremony rotate --root hq.out/root.json --names hq.request.json -o "$rotate_o" "$@"
}
# signed REQUEST DIR WHO...: these sign, alice finishes into DIR
signed() {
	signed_r=$1 signed_d=$2
	shift 2
	mkdir -p "$signed_d" && signed_f=$(fingerprint "$signed_r") || return 1
	for signed_w in "$@"; do
		as "$signed_w" ceremony sign "$signed_r" --key "$signed_w" --fingerprint "$signed_f" \
			-o "$signed_d/answer-$signed_w.json" >/dev/null || return 1
	done
	as alice ceremony finish "$signed_r" "$signed_d" -o "$signed_d"
}

test_expect 'a site is in force' 'site_up hq && signer dave && signer mallory'

test_expect 'a key is meant by its file, its name, or the beginning of its id' '
	id=$(as bob key show bob --json | jq -r .keyid) &&
	rotate a.json --remove-key bob.pub --root-threshold 1 --targets hq.out/targets.json >a &&
	rotate b.json --remove-key bob --root-threshold 1 --targets hq.out/targets.json >b &&
	rotate c.json --remove-key "$(echo "$id" | cut -c 1-8)" --root-threshold 1 --targets hq.out/targets.json >c &&
	for f in a b c; do
		grep ".bob. ($(echo "$id" | cut -c 1-16)...) may NO LONGER help to replace this root, say who publishes what by itself" $f &&
		test "$(jq ".root.roles.root.keyids | length" $f.json)" = 2 || return 1
	done &&
	rotate d.json --remove-root-key bob --root-threshold 1 >d && grep "but it may still say who publishes what by itself" d &&
	grep "NOTE: one key alone can replace this root" d
'

# refused STATUS WORDS ARG...
refused() {
	refused_s=$1 refused_w=$2
	shift 2
	test_status "$refused_s" rotate no.json "$@" >out 2>err
	cat err
	grep -e "$refused_w" err && test ! -e no.json
}
test_expect 'what makes no sense is refused, with a word on what to do' '
	refused 2 "would want 2 signatures of 1 key" --remove-root-key bob --remove-root-key carol && grep -e "hint: .*--add-root-key" err &&
	refused 2 "would want 5 signatures of 3 keys" --root-threshold 5 &&
	refused 3 "is a key of this role already" --add-root-key bob.pub &&
	refused 3 "is added twice" --add-root-key dave.pub --add-root-key dave.pub &&
	refused 3 "both added to root and removed" --add-root-key bob.pub --remove-root-key bob &&
	refused 1 "not among the root or targets keys of root 1" --remove-key mallory.pub &&
	refused 1 "not among the targets keys" --remove-targets-key carol &&
	refused 2 "is no known key" --remove-key nobody && grep "hint: .*--names" err &&
	refused 2 "at least 8 digits" --remove-key abc &&
	refused 2 "targets has to be signed anew" --targets-threshold 2 && grep -e "hint: .*--targets FILE" err &&
	refused 2 "give the targets in force" --remove-publisher releases &&
	refused 1 "no publisher .nobody. to remove" --targets hq.out/targets.json --remove-publisher nobody &&
	refused 3 "online keys in force" --online-keys hq.online.json && grep "hint: .*repo keys rotate" err &&
	refused 3 "also the online key of snapshot" --add-root-key hq/repo/keys/snapshot.pub &&
	refused 3 "never the NAME.key" --add-root-key dave/keys/dave.key &&
	test_status 3 as alice ceremony rotate --root hq.out/targets.json -o no.json &&
	test_status 2 as alice ceremony rotate -o no.json && test_status 1 rotate a.json
'

# Mallory makes a root 1 of her own that lists her keys beside those of the others, signs it with her two, and asks the
# others to rotate it: against her own file nothing changes, and what comes of it would follow the true root 1.
test_expect 'a private root hides no keys: a request is doubted, and the signer who has his own copy refuses it' '
	signer eve && as mallory ceremony new --online-keys hq.online.json --root-key alice.pub --root-key bob.pub --root-key carol.pub \
		--root-key mallory.pub --root-key eve.pub --root-threshold 2 --targets-key alice.pub --targets-key mallory.pub -o private.json &&
	p=$(fingerprint private.json) && mkdir private &&
	as mallory ceremony sign private.json --key mallory --fingerprint "$p" -o private/m.json &&
	as eve ceremony sign private.json --key eve --fingerprint "$p" -o private/e.json &&
	as mallory ceremony finish private.json private -o private &&
	as mallory ceremony rotate --root private/root.json --targets private/targets.json -o trap.json && t=$(fingerprint trap.json) &&
	as alice ceremony sign trap.json --key alice --fingerprint "$t" -o trap-alice.json >out &&
	grep "Against root version 1, which the request calls in force" out && grep "SHA-256 $(sha256sum <private/root.json | cut -d " " -f 1)" out &&
	id() { as "$1" key show "$1" --json | jq -r .keyid | cut -c 1-16; } &&
	sed -n "/Against root/,/):/p" out | grep "signed by.*key $(id mallory)" && sed -n "/Against root/,/):/p" out | grep "key $(id eve)" &&
	grep "NOTE: nothing here has checked that this root is the one in force" out && grep -e "--root FILE" out &&
	grep "nothing here has checked that this targets" out &&
	! grep "no key changes\|no publisher changes\|which is in force" out &&
	as carol ceremony sign trap.json --key carol --fingerprint "$t" -o trap-carol.json --json >json && test_json ".unchecked == [\"root\", \"targets\"]" json &&
	test_status 3 as bob ceremony sign trap.json --root hq.out/root.json --key bob --fingerprint "$t" -o trap-bob.json >out 2>err &&
	cat err && grep "hq.out/root.json.: the request calls another root in force (SHA-256 [0-9a-f]\{64\}) than this one" err && grep "hint: do not sign" err &&
	! grep Against out &&
	test_status 3 as bob ceremony sign trap.json --targets hq.out/targets.json --key bob --fingerprint "$t" -o trap-bob.json 2>err &&
	grep "calls another targets in force" err && test ! -e trap-bob.json
'

test_expect 'the own copy is what a statement is told against' '
	as alice ceremony rotate --root hq.out/root.json --targets hq.out/targets.json -o true.json >made && t=$(fingerprint true.json) &&
	grep "Against root version 1, which is in force by your own copy:" made && ! grep "nothing here has checked" made &&
	as bob ceremony sign true.json --root hq.out/root.json --key bob --fingerprint "$t" -o true-root.json >out &&
	grep "Against root version 1, which is in force by your own copy:" out && grep "no key changes; the date does" out &&
	grep "nothing here has checked that this targets" out && ! grep "no publisher changes" out &&
	as bob ceremony sign true.json --root hq.out/root.json --targets hq.out/targets.json --key bob --fingerprint "$t" -o true-both.json >out &&
	! grep "nothing here has checked" out && grep "no publisher changes; the date does" out &&
	as bob ceremony sign true.json --root hq.out/root.json --targets hq.out/targets.json --key bob --fingerprint "$t" -o json.json --json >json &&
	test_json ".unchecked == []" json &&
	tail -n 1 bob/ceremony/transcript | jq -e "[.files[].name] | contains([\"root.json\", \"targets.json\"])" &&
	test_status 2 as bob ceremony sign hq.request.json --root hq.out/root.json --key bob --fingerprint "$(fingerprint hq.request.json)" -o no.json 2>err &&
	grep "calls no root in force" err && rotate bare.json && t=$(fingerprint bare.json) &&
	test_status 2 as bob ceremony sign bare.json --targets hq.out/targets.json --key bob --fingerprint "$t" -o no.json 2>err &&
	grep "calls no targets in force" err && test_status 1 as bob ceremony sign bare.json --root nowhere --key bob --fingerprint "$t" -o no.json &&
	test ! -e no.json
'

test_expect 'what is hidden deep in a request is told, and one that hides its end is refused' '
	rotate deep.json --targets hq.out/targets.json && jq ".root.roles.root.quorum = 1 | .targets.delegations.roles[0].until = 1" deep.json >deeper.json &&
	t=$(fingerprint deeper.json) && as bob ceremony sign deeper.json --key bob --fingerprint "$t" -o deeper-bob.json >out &&
	grep "NOTE: it also holds .quorum. in one of its roles, which this program does not know" out &&
	grep "NOTE: it also holds .until. in what it says of a publisher" out &&
	jq ".root.roles.root += ([range(15000) | {(\"member-\(.)\"): 1}] | add)" deep.json >long.json && t=$(fingerprint long.json) &&
	test_status 3 as bob ceremony sign long.json --key bob --fingerprint "$t" -o long-bob.json >out 2>err &&
	grep "longer than anybody reads" err && test ! -e long-bob.json &&
	test_status 3 as bob ceremony sign long.json --key bob --fingerprint "$t" -o long-bob.json --json &&
	jq ".labels |= map_values(\"bob\")" deep.json >bobs.json && test_status 3 as bob ceremony status bobs.json 2>err &&
	grep "calls two keys .bob." err && grep "hint: " err
'

test_expect 'answers come in any order over days, and status says what each has seen' '
	rotate slow.json --add-root-key dave.pub --remove-root-key bob &&
	mkdir box && f=$(fingerprint slow.json) && digits=$f &&
	as alice ceremony status slow.json box --json >s && test_json ".enough == [[.signatures[0].keys[] | select(.label != \"dave\") | .keyid]]" s &&
	as dave ceremony sign slow.json --key dave --fingerprint "$f" -o box/answer-dave.json >out && grep "(for 365d)" out &&
	cp box/answer-dave.json box/copy.json && cp hq.carol.json box/old-answer.json && echo "{}" >box/note.json &&
	as carol ceremony sign slow.json --key carol --fingerprint "$f" -o box/carol.answer &&
	test_status 3 as alice ceremony status slow.json box >out && cat out && grep "copy.json: NOT COUNTED: .*answered already" out &&
	grep "old-answer.json: NOT COUNTED: .*another request" out && ! grep note.json out &&
	grep "dave.json: dave ([0-9a-f]*...) has seen $f.*and signed root at" out && grep "transcript [0-9a-f]\{16\}" out &&
	grep "^  alice (.*)$" out && grep "^  bob (.*)$" out && grep "to be signed and finished before 20.*(in 365d\|364d" out &&
	rm box/copy.json && as alice ceremony status slow.json box --json >s &&
	test_json ".complete == false and .expired == false and (.enough | length) == 2 and (.answers | length) == 3" s &&
	test_json ".answers[] | select(.label == \"carol\") | .documents == [\"root\"] and (.transcript | length) == 64" s &&
	test_status 3 as alice ceremony status slow.json box/old-answer.json
'

test_expect 'an answer that is there is noticed before the passphrase is asked' '
	test_status 1 as carol ceremony sign slow.json --key carol -o box/carol.answer 2>err && grep "exists already" err
'

test_expect 'more answers than needed do no harm, one of another request does when it is named' '
	as alice ceremony sign slow.json --key alice --fingerprint "$digits" -o box/answer-alice.json &&
	as bob ceremony sign slow.json --key bob --fingerprint "$digits" -o box/answer-bob.json &&
	test_status 3 as alice ceremony finish slow.json box/answer-alice.json box/carol.answer box/old-answer.json 2>err &&
	grep "old-answer.json.*another request" err &&
	mkdir slow && as alice ceremony finish slow.json box -o slow 2>err && grep "old-answer.json. is not counted" err &&
	test "$(jq ".signatures | length" slow/root.json)" = 4 &&
	as alice ceremony verify slow.json box/answer-alice.json box/answer-bob.json box/answer-dave.json box/carol.answer slow/root.json
'

# strictly ARG...: alice verifies with the transcripts of all who had a part in it
strictly() {
	strictly_t=
	for strictly_w in bob carol dave; do
		as $strictly_w ceremony status --json >$strictly_w.transcript && strictly_t="$strictly_t --transcript $strictly_w.transcript"
	done
	# shellcheck disable=SC2086 # a list
	as alice ceremony verify --strict $strictly_t "$@"
}
test_expect 'what a request calls in force proves nothing to an auditor, his own copy does' '
	set -- slow.json box/answer-alice.json box/answer-bob.json box/answer-dave.json box/carol.answer slow/root.json &&
	strictly --root hq.out/root.json "$@" >out && grep "^holds     hq.out/root.json: the root that the request calls in force" out &&
	grep "^all of it holds" out && grep "slow/root.json: .*signed as a device wants it" out &&
	test_status 3 strictly "$@" >out 2>err && grep "^unproven  slow.json: the root in force is the request.s own word" out &&
	grep "own word" err && ! grep "as a device wants it\|all of it holds" out &&
	as alice ceremony verify "$@" >out && ! grep "all of it holds" out && grep "signed as the root wants it that the request calls in force" out &&
	test_status 3 strictly --root slow/root.json "$@" >out && grep "^BROKEN    slow/root.json: the request calls another root in force" out &&
	test_status 3 as alice ceremony verify --root hq.out/root.json hq.request.json hq.alice.json hq.carol.json hq.out/root.json >out &&
	grep "^BROKEN    hq.out/root.json: the request calls no root in force" out &&
	test_status 1 as alice ceremony verify --root nowhere "$@"
'

test_expect 'the results of a private root do not pass for what devices take' '
	trap_f=$(fingerprint trap.json) && mkdir trapped &&
	as mallory ceremony sign trap.json --key mallory --fingerprint "$trap_f" -o trap-mallory.json &&
	as mallory ceremony finish trap.json trap-mallory.json trap-carol.json -o trapped &&
	set -- trap.json trap-mallory.json trap-carol.json trapped/root.json trapped/targets.json &&
	as alice ceremony verify "$@" >out && ! grep "as a device wants it\|all of it holds" out &&
	test_status 3 as alice ceremony verify --strict "$@" &&
	test_status 3 as alice ceremony verify --root hq.out/root.json "$@" >out && grep "^BROKEN    hq.out/root.json: the request calls another" out
'

test_expect 'a box that is two roots behind takes both at once, in any order, and none alone' '
	as alice ceremony rotate --root slow/root.json --names slow.json -o third.json &&
	signed third.json third alice carol && test_status 3 as hq repo adopt third/root.json 2>err &&
	as hq repo adopt third/root.json slow/root.json >out && grep "root     version 3, new" out &&
	as hq repo refresh --force && as hq repo verify
'

test_expect 'a new box takes over from one that is lost, with all roots and the new targets' '
	as anew repo init --publisher "releases:plant/*/*" -o anew.json &&
	as alice ceremony rotate --root third/root.json --names slow.json --targets hq.out/targets.json \
		--online-keys anew.json --publisher releases -o fourth.json >out &&
	grep "may now sign for publisher .releases." out && grep "may NO LONGER sign for publisher .releases." out &&
	signed fourth.json fourth alice carol &&
	test_status 3 as hq repo adopt fourth/root.json fourth/targets.json 2>err && grep "own snapshot key" err &&
	as anew repo adopt hq.out/root.json slow/root.json third/root.json fourth/root.json fourth/targets.json &&
	as anew repo verify && echo x >x && as anew sign x --namespace plant --name x --version 1
'

test_expect 'a root that has expired can be followed, when the operator vouches for the clock' '
	late() { late_h=$TEST_DIR/$1; shift; test_at +420d meshanics --home "$late_h" "$@"; } &&
	late alice ceremony rotate --root fourth/root.json --targets fourth/targets.json --names fourth.json -o fifth.json >out &&
	grep "in force by your own copy though it expired at .*devices still take its successor" out && f=$(fingerprint fifth.json) &&
	for w in alice carol; do late $w ceremony sign fifth.json --key $w --fingerprint $f -o late-$w.json || return 1; done &&
	mkdir fifth && late alice ceremony finish fifth.json late-alice.json late-carol.json -o fifth &&
	test_status 4 late anew repo adopt fifth/root.json fifth/targets.json 2>err && grep "hint: .*repo adopt --accept-clock" err &&
	late anew repo adopt --accept-clock fifth/root.json fifth/targets.json && late anew repo refresh --force && late anew repo verify
'

test_expect 'staged keys wait, are told, and can be made anew' '
	test_status 1 as nothing repo keys rotate 2>err && grep "repo init" err &&
	as hq repo keys rotate -o next.json && as hq repo status >out && grep "new online keys wait" out &&
	cmp next.json hq/repo/online-keys-next.json && test "$(stat -c %a hq/repo/keys-next/snapshot.key)" = 600 &&
	! grep -i secret next.json && test_json ".publishers[0].name == \"releases\"" next.json &&
	test_status 1 as hq repo keys rotate 2>err && grep "wait for their root already" err && grep -e "--replace" err &&
	as hq repo keys rotate --replace -o next2.json && ! cmp next.json next2.json &&
	as hq repo status --json | jq -e .staged_keys && as hq repo refresh --force
'

test_done

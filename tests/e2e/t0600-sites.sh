#!/bin/sh
# More than one site: the root of a site that takes the targets of headquarters, where it is kept, and that nobody crosses.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq perl

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
# like OUT SITE ARG...: alice's request for the first root of a site
like() {
	like_o=$1 like_s=$2
	shift 2
	as alice ceremony new --like hq.out/root.json --online-keys "$like_s.online.json" --site "$like_s" \
		--names hq.request.json -o "$like_o" "$@"
}
# state FILE: what is in a repository, but for what is signed on schedule
state() {
	find hq/repo -type f -exec cksum {} + | sort >"$1"
}

test_expect 'headquarters is in force; two boxes wait for their roots' '
	site_up hq && as depot-7 repo init --site depot-7 -o depot-7.online.json && as depot-8 repo init --site depot-8 -o depot-8.online.json
'

test_expect 'a request like another root says what the site takes, and nothing is given beside it' '
	like d7.json depot-7 >out && cat out && grep "ROOT of site .depot-7., version 1" out &&
	grep "TARGETS of site .depot-7.: none are signed here" out && grep "takes the targets of site .main. as they are" out &&
	grep "of site .main., which is in force by your own copy" out && ! grep NOTE out &&
	grep "called .alice. in the request" out &&
	test_json ".purpose == \"create\" and (has(\"targets\") | not) and .like.signed._type == \"root\"" d7.json &&
	test_json ".root[\"x-meshanics\"].record_keys.export == .like.signed[\"x-meshanics\"].record_keys.export" d7.json &&
	for o in "--root-key alice.pub" "--root-threshold 1" "--targets-key bob.pub" "--targets-threshold 2" "--targets-expires 9d" "--publisher a:b/*/*"; do
		test_status 2 like no.json depot-7 $o 2>err && grep "does not go with --like" err || return 1
	done &&
	test_status 3 as alice ceremony new --like hq.out/root.json --online-keys depot-7.online.json --site depot-8 -o no.json 2>err &&
	grep "not .depot-8." err &&
	test_status 3 as alice ceremony new --like hq.out/root.json --online-keys hq.online.json -o no.json 2>err && grep "export key" err &&
	test_status 3 as alice ceremony new --like hq.out/targets.json --online-keys depot-7.online.json -o no.json &&
	test_status 3 as alice ceremony new --rehearsal --like hq.out/root.json -o no.json 2>err && grep "takes no real keys" err &&
	test_status 2 as alice ceremony new --like hq.out/root.json -o no.json && test ! -e no.json
'

test_expect 'a signer compares with his own copy, and two of three are enough' '
	f=$(fingerprint d7.json) && jq ".signed.version = 9" hq.out/root.json >other.json &&
	test_status 3 as bob ceremony sign d7.json --key bob --fingerprint "$f" --like other.json -o no.json 2>err &&
	grep "calls another root in force" err && grep "hint: do not sign" err &&
	test_status 2 as bob ceremony sign d7.json --key bob --fingerprint "$f" --root hq.out/root.json -o no.json &&
	as bob ceremony sign d7.json --key bob --fingerprint "$f" -o unsure.json >out && grep "NOTE: .*checked that this root is the one in force at .main." out &&
	mkdir d7 && as bob ceremony sign d7.json --key bob --fingerprint "$f" --like hq.out/root.json -o d7/b.json >out && ! grep NOTE out &&
	as carol ceremony sign d7.json --key carol --fingerprint "$f" -o d7/c.json --json >out.json && test_json ".unchecked == [\"like\"]" out.json &&
	as alice ceremony status d7.json d7 >out && grep "root version 1, by the keys of root: 2 of the 2" out && grep complete out &&
	as alice ceremony finish d7.json d7 -o d7 2>err && cat err && grep "box of site .main." err && grep "N.targets.json of .main." err &&
	ls d7 >list && ! grep targets list &&
	as alice ceremony verify d7.json d7 d7/root.json --like hq.out/root.json >out && grep "holds .*the root that the request is made like" out &&
	as alice ceremony verify d7.json d7 d7/root.json >out && grep "unproven .*made like is the request.s own word" out &&
	test_status 3 as alice ceremony verify d7.json d7 d7/root.json --like other.json
'

test_expect 'headquarters keeps it, and says so' '
	as hq repo adopt d7/root.json >out && grep "site depot-7  root version 1, new" out &&
	cmp d7/root.json hq/repo/sites/depot-7/1.root.json &&
	as hq repo adopt d7/root.json --json >out.json && test_json ".sites == [{site: \"depot-7\", root_version: 1, roots: 0}]" out.json &&
	as hq repo status >out && grep "root of depot-7 .* ok" out && as hq repo status --json >out.json &&
	test_json ".sites[0].site == \"depot-7\" and .sites[0].takes_targets and .sites[0].takes_bundles and .sites[0].state == \"ok\"" out.json &&
	test_json "(.roles | length) == 5 and .takes_bundles == false" out.json &&
	as hq repo verify >out && grep "1 root of 1 other site" out &&
	as hq audit list --action repository.adopt --json >out.json &&
	test_json ".records[0].object == \"site:depot-7\" and .records[0].detail.sites[\"depot-7\"] == 1" out.json
'

test_expect 'the site takes its root and the targets of headquarters, and waits for bundles' '
	test_status 2 as depot-7 repo adopt d7/root.json 2>err && grep "no targets" err &&
	as depot-7 repo adopt d7/root.json hq/repo/metadata/1.targets.json && as depot-7 repo verify &&
	as depot-7 repo status >out && grep "^site depot-7, which takes bundles" out && grep "targets .* elsewhere " out && grep "next  targets, by .*: a bundle must bring it" out &&
	test_status 1 as depot-7 repo status --within 400d >out 2>err && cat out && grep "next  root, now: hold a ceremony for this site.*a bundle must bring it" out &&
	test_status 1 as depot-7 repo status --within 400d --json >out.json 2>err &&
	test_json ".takes_bundles and (has(\"sites\") | not) and (.roles[] | select(.role == \"targets\") | .signed_by == \"bundle\")" out.json
'

test_expect 'roots that are not from this ceremony are not kept' '
	state before &&
	jq "del(.signatures[0])" d7/root.json >cut.json && jq ".signed[\"x-meshanics\"].site = \"depot-9\"" d7/root.json >named.json &&
	test_status 3 as hq repo adopt named.json 2>err && grep "root 1 of site .depot-9.: " err && grep "signed by 0 of the 2" err &&
	test_status 3 as hq repo adopt cut.json 2>err && grep "another root of version 1 is kept already" err &&
	site_request depot-8 own.json 2>err && signed own.json own alice bob &&
	test_status 3 as hq repo adopt own/root.json 2>err && grep "export key" err && grep "hint: .*--like" err &&
	state after && cmp before after
'

test_expect 'its next root follows alone: the date, the box, or the keys of headquarters' '
	as alice ceremony rotate --root d7/root.json --like hq.out/root.json --names hq.request.json -o d7-2.json >out &&
	grep "no key changes; the date does" out && signed d7-2.json d72 alice carol 2>err && grep "the next bundle brings it to site .depot-7." err &&
	as depot-7 repo keys rotate -o depot-7.next.json &&
	as alice ceremony rotate --root d72/root.json --online-keys depot-7.next.json --names hq.request.json -o d7-3.json >out &&
	grep "devices forget what the former online keys" out && signed d7-3.json d73 alice carol &&
	test_status 3 as hq repo adopt d73/root.json 2>err && grep "version 3 where 2 must follow" err && test ! -e hq/repo/sites/depot-7/2.root.json &&
	as hq repo adopt d73/root.json d72/root.json >out && grep "site depot-7  root version 3, new" out &&
	as depot-7 repo adopt d72/root.json d73/root.json && as depot-7 repo verify && as hq repo verify
'

test_expect 'when headquarters changes the keys of targets, status asks for the next root of each site' '
	as alice ceremony rotate --root hq.out/root.json --targets hq.out/targets.json --remove-targets-key alice --remove-targets-key bob \
		--add-targets-key carol.pub --names hq.request.json -o hq2.json >out && signed hq2.json hq2 alice carol &&
	test_status 2 as alice ceremony rotate --root d73/root.json --like hq2/root.json --add-root-key carol.pub -o no.json 2>err &&
	grep "are those of site .main." err && grep "hint: change them at site .main." err &&
	as alice ceremony rotate --root d73/root.json --like hq2/root.json --names hq.request.json -o d7-4.json >out && cat out &&
	grep ".bob. .* may NO LONGER say who publishes what by itself" out && signed d7-4.json d74 alice carol &&
	as hq repo adopt hq2/root.json hq2/targets.json &&
	test_status 1 as hq repo status >out 2>err && cat out && grep "root of depot-7 .* behind" out && grep "do not verify under its root" err &&
	grep "hint: hold a ceremony for it: .*--like" err && grep "^next  root of depot-7, now" out &&
	test_status 1 as hq repo status --json >out.json 2>err && test_json ".verdict == \"behind\" and .sites[0].state == \"behind\"" out.json &&
	test_status 1 as hq doctor >out && grep "site .depot-7. takes no bundle: the targets in force here" out &&
	as hq repo adopt d74/root.json && as hq repo status && as hq repo verify && as hq doctor >out && cat out && grep "root version 4 of site .depot-7. expires" out &&
	as depot-7 repo adopt d74/root.json hq2/targets.json && as depot-7 repo verify
'

test_expect 'own files and those of sites come together' '
	as alice ceremony rotate --root hq2/root.json --names hq.request.json -o hq3.json && signed hq3.json hq3 alice carol &&
	as alice ceremony new --like hq2/root.json --online-keys depot-8.online.json --names hq.request.json -o d8.json && signed d8.json d8 bob carol &&
	state before && head -c 500 d8/root.json >torn.json &&
	test_status 3 as hq repo adopt hq3/root.json torn.json && state after && cmp before after &&
	as hq repo adopt d8/root.json hq3/root.json d74/root.json >out && grep "root     version 3, new" out && grep "site depot-8  root version 1, new" out &&
	grep "site depot-7  root version 4$" out && as hq repo verify >out && grep "5 roots of 2 other sites" out
'

# From here on each site has root 1 in *.1.json, and a root 2 that follows it in *.2.json.
test_expect 'a second root of each site, by the same offline keys' '
	cp d7/root.json depot-7.1.json && cp d72/root.json depot-7.2.json && cp hq.out/root.json main.1.json && cp hq2/root.json main.2.json &&
	as alice ceremony rotate --root d8/root.json --like hq2/root.json --names hq.request.json -o d8-2.json && signed d8-2.json d82 alice bob &&
	cp d8/root.json depot-8.1.json && cp d82/root.json depot-8.2.json && as depot-8 repo adopt depot-8.1.json hq2/targets.json
'
test_expect 'no depot adopts the root of another site' '
	for at in depot-7 depot-8; do
		for of in main depot-7 depot-8; do
			test $at != $of || continue
			for n in 1 2; do
				test_status 3 as $at repo adopt $of.$n.json 2>err || return 1
				grep "this root is for site .$of., this repository is site .$at." err || return 1
			done
		done
		test ! -e $at/repo/sites && as $at repo verify || return 1
	done
'
test_expect 'no client that trusts one site follows a root of another' '
	mkdir -p www && test_start web "$TEST_SRC/tests/e2e/httpd.pl" port www && test_wait 10 test -s port && port=$(cat port) &&
	for at in main depot-7 depot-8; do
		for of in main depot-7 depot-8; do
			rm -rf www/m c && mkdir -p www/m && cp $of.2.json www/m/2.root.json &&
			meshanics tuf-client --metadata-dir c init $at.1.json || return 1
			meshanics tuf-client --metadata-dir c --metadata-url "http://127.0.0.1:$port/m" refresh 2>err
			cat err
			if test $at = $of; then
				grep "timestamp" err || return 1	# the root was taken, and what comes next is asked for
			else
				grep "root version 2 is for site .$of., the trusted root for site .$at." err || return 1
			fi
		done
	done
	test_stop web; true
'
test_expect 'a kept chain that is damaged is found, and named' '
	cp hq/repo/sites/depot-7/2.root.json kept && cp depot-8.2.json hq/repo/sites/depot-7/2.root.json &&
	test_status 3 as hq repo verify >out 2>err && grep "^sites/depot-7/2.root.json: it is for site .depot-8." out && cp kept hq/repo/sites/depot-7/2.root.json &&
	mv hq/repo/sites/depot-7/3.root.json away && test_status 3 as hq repo verify >out && grep "^sites/depot-7/3.root.json" out &&
	mv away hq/repo/sites/depot-7/3.root.json && as hq repo verify &&
	cp hq/repo/sites/depot-7/4.root.json kept && echo "{}" >hq/repo/sites/depot-7/4.root.json &&
	test_status 1 as hq repo status >out 2>err && grep "root kept of it is damaged" out &&
	test_status 1 as hq doctor >out 2>err && cat out && grep "root 4 of site .depot-7.: " out && cp kept hq/repo/sites/depot-7/4.root.json && as hq repo status
'
test_expect 'a backup brings the sites back' '
	mkdir -p hq/repo/import/half && echo half >hq/repo/import/half/blob && printf "a passphrase" >pass && chmod 600 pass && as hq ca init && as hq backup create b --passphrase-file pass &&
	meshanics backup restore b --home "$TEST_DIR/back" --passphrase-file pass && diff -r hq/repo/sites back/repo/sites && test ! -e back/repo/import/half && as back repo verify
'
test_done

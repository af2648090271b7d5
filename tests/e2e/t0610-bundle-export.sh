#!/bin/sh
# `bundle export`, `inspect` and `verify`: what goes into a bundle, what refuses to, and that nobody can change one.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
# shellcheck source=tests/e2e/fleet.sh
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq perl ssh-keygen tar

# put VERSION FILE: publish plant/app/VERSION.
put() {
	as hq sign "$2" --namespace plant --name app --version "$1" >/dev/null
}

# depot_root HOME NAME...: the ceremony for the first root of a site whose box is HOME, like headquarters'.
depot_root() {
	depot_h=$1 depot_n=1
	as "$depot_h" repo init --site "$depot_h" --output "$depot_h.online.json" &&
		as alice ceremony new --online-keys "$depot_h.online.json" --like hq.out/root.json -o "$depot_h.request.json" &&
		depot_f=$(fingerprint "$depot_h.request.json") &&
		as alice ceremony sign "$depot_h.request.json" --key alice --fingerprint "$depot_f" -o "$depot_h.alice.json" &&
		as carol ceremony sign "$depot_h.request.json" --key carol --fingerprint "$depot_f" -o "$depot_h.carol.json" &&
		mkdir "$depot_h.out" &&
		as alice ceremony finish "$depot_h.request.json" "$depot_h.alice.json" "$depot_h.carol.json" -o "$depot_h.out"
}

# no_parts DIR: nothing half-done is there.
no_parts() {
	test -z "$(find "$1" -name "*.meshanics-part")"
}

# find_part DIR: something is being written there, and has bytes.
find_part() {
	test -n "$(find "$1" -name "*.meshanics-part" -size +0)"
}

# repack FILE OUT SCRIPT: unpack FILE into x/, run SCRIPT there, pack it again in the order of names (list the rest there).
repack() {
	rm -rf x && mkdir x && tar -xf "$1" -C x && tar -tf "$1" >names || return 1
	(cd x && eval "$3") || return 1
	tar --format=ustar --owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@1700000000 -b 1 -cf "$2" -C x \
		--no-recursion -T names
}

test_expect 'headquarters with artifacts, and a site whose root is kept there' '
	for i in 1 2 3; do head -c 30000 /dev/urandom >"app-$i" || return 1; done && cp app-1 app-4 &&
	head -c 3000000 /dev/urandom >app-5 && : >app-6 &&
	test_status 1 as hq bundle export -o x.bundle 2>err && cat err && no_parts . &&
	site_up hq && test_status 1 as hq bundle export --site depot-7 --artifact plant/none -o x.bundle 2>err; cat err &&
	for i in 1 2 3 4 5 6; do put "$i" "app-$i" || return 1; done &&
	depot_root depot-7 && test ! -e x.bundle
'

test_expect 'no bundle for a site of which no root is kept' '
	test_status 3 as hq bundle export --site depot-7 -o depot.bundle 2>err && cat err &&
	grep "no root of site .depot-7. is kept here" err && grep "^hint: .*repo adopt" err &&
	test ! -e depot.bundle && no_parts . && as hq repo adopt depot-7.out/root.json
'

test_expect 'a bundle for a site: said, listed, checked' '
	as hq bundle export --site depot-7 -o depot.bundle >out && cat out &&
	grep "^for  *the repository of site .depot-7.$" out && grep "^inside .* 3 metadata files, 5 artifacts" out &&
	tar -tf depot.bundle >list && cat list && test "$(head -n 2 list | tr "\n" " ")" = "bundle.json bundle.json.sig " &&
	grep "^metadata/1.root.json$" list && ! grep "snapshot\|timestamp" list && test "$(grep -c "^targets/" list)" = 5 &&
	grep ^targets/ list | sort -c && tar -xOf depot.bundle metadata/1.root.json | cmp - depot-7.out/root.json &&
	tar -tvf depot.bundle | grep -v "^-rw-r--r-- 0/0 " >wrong; test ! -s wrong &&
	as hq bundle inspect depot.bundle >out && cat out && grep "^signature  *good, by record key" out &&
	grep "^good until .*, when releases expires" out && grep "5 .* artifacts" out &&
	as hq bundle verify depot.bundle >out && cat out && grep "^all right: number 1 from site .main." out
'

test_expect 'the same as JSON' '
	as hq bundle inspect depot.bundle --json --members >i.json && test_json ".kind == \"site\" and .site == \"depot-7\" and
		.origin == \"main\" and .sequence == 1 and .complete and .since == null and .versions.root == 1 and
		.inside.roots.members == 1 and .inside.publishers.members == 1 and .inside.artifacts.members == 5 and
		.first_to_expire == \"releases\" and .signature == \"good\" and (.list | length) == .members and
		([.list[].length] | add) == .bytes" i.json &&
	test "$(jq -r .bundle i.json)" = "$(tar -xOf depot.bundle bundle.json | sha256sum | cut -d " " -f 1)" &&
	as hq bundle verify depot.bundle --json >v.json && test_json ".ok and .artifacts == 5 and .lacking == 0" v.json
'

test_expect 'whoever has no home sees what is inside, and checks with a root that he trusts' '
	meshanics bundle inspect depot.bundle >out && grep "^signature  *not checked" out &&
	meshanics --home nowhere bundle inspect depot.bundle --json >i.json && test_json ".signature == \"not checked\"" i.json &&
	test ! -e nowhere && test_status 1 meshanics bundle verify depot.bundle 2>err && grep "no root of site .depot-7." err &&
	grep "^hint: .*--root" err && meshanics bundle verify depot.bundle --root depot-7.out/root.json &&
	meshanics bundle inspect depot.bundle --root depot-7.out/root.json | grep "^signature  *good" &&
	test_status 3 meshanics bundle verify depot.bundle --root hq.out/root.json 2>err &&
	grep "for site .depot-7., and the root here is that of .main." err &&
	meshanics bundle inspect - <depot.bundle | grep "^for " && cat depot.bundle |
		meshanics bundle verify - --root depot-7.out/root.json
'

test_expect 'OpenSSH checks the manifest, as the manual shows' '
	printf "main " >allowed && openssl pkey -pubin -in hq/repo/keys/record-export.pub -outform DER >der &&
	{ printf "\000\000\000\013ssh-ed25519\000\000\000\040" && tail -c 32 der; } | base64 -w 0 | sed "s/^/ssh-ed25519 /" >>allowed &&
	echo >>allowed && tar -xOf depot.bundle bundle.json.sig >sig && tar -xOf depot.bundle bundle.json |
		ssh-keygen -Y verify -f allowed -I main -n meshanics-bundle -s sig &&
	! tar -xOf depot.bundle bundle.json | sed s/depot-7/depot-8/ |
		ssh-keygen -Y verify -f allowed -I main -n meshanics-bundle -s sig
'

test_expect 'the audit trail tells of each, with the head that the manifest names' '
	as hq audit list --action bundle.export --json >a.json && cat a.json &&
	test_json ".records | length == 1 and .[0].object == \"site:depot-7\" and .[0].verdict == \"ok\"" a.json &&
	tar -xOf depot.bundle bundle.json | head -n 1 | sed "s/,\$/}/" | jq .bundle >head.json &&
	test "$(jq -c "[.records[0].detail | .bundle, .sequence, .head.seq, .head.hash, .since]" a.json)" = \
		"$(jq -c --arg id "$(tar -xOf depot.bundle bundle.json | sha256sum | cut -d " " -f 1)" \
			"[\$id, .sequence, .audit.seq, .audit.hash, .since]" head.json)" &&
	as hq audit export >trail && hash=$(jq -r .audit.hash head.json) && grep -q "\"hash\":\"$hash\"" trail
'

test_expect 'a file that is there stays, unless it is to be replaced' '
	sha256sum depot.bundle >sum && test_status 1 as hq bundle export --site depot-7 -o depot.bundle 2>err && cat err &&
	grep "depot.bundle. is there already" err && grep "^hint: .*--force" err && sha256sum -c --quiet sum && no_parts . &&
	as hq audit list --action bundle.export --json | jq -e ".records | length == 1" &&
	as hq bundle export --site depot-7 -o depot.bundle --force >out && ! sha256sum -c --quiet sum 2>/dev/null &&
	as hq bundle verify depot.bundle
'

test_expect 'into a directory by its own name; into the current one without -o' '
	mkdir stick && as hq bundle export --site depot-7 -o stick --json >o.json && cat o.json &&
	test_json ".files == [\"stick/depot-7-000004.bundle\"] and .sequence == 4" o.json &&
	as hq bundle verify stick/depot-7-000004.bundle && mkdir cwd &&
	(cd cwd && as hq bundle export --site depot-7 >/dev/null && ls) >out && grep "^depot-7-000005.bundle$" out &&
	test_status 1 as hq bundle export --site depot-7 -o nowhere/ 2>err && cat err &&
	test_status 1 as hq bundle export --site depot-7 -o nowhere/x 2>err && cat err
'

test_expect 'to standard output, and never to a terminal' '
	as hq bundle export --site depot-7 -o - 2>err >piped.bundle && cat err && as hq bundle verify piped.bundle &&
	as hq bundle export --site depot-7 -o - 2>/dev/null | as hq bundle verify - &&
	test_status 2 as hq bundle export --site depot-7 -o - --json 2>err &&
	test_status 2 as hq bundle export --site depot-7 -o - --split 2M 2>err && cat err &&
	if command -v script >/dev/null; then
		script -qec "meshanics --home hq bundle export --site depot-7 -o -" /dev/null >tty </dev/null; cat tty &&
			grep "not written to a terminal" tty
	fi &&
	test_status 1 as hq bundle export --site depot-7 -o - >/dev/full 2>err && cat err
'

test_expect 'some artifacts: the bundle says that it is not complete' '
	as hq bundle export --site depot-7 --artifact plant/app/2 --artifact "plant/ap?/5" -o some.bundle --json >o.json &&
	test_json ".complete == false and .artifacts == 2" o.json &&
	as hq bundle verify some.bundle >out && cat out && grep "^3 artifacts are listed and not inside" out &&
	as hq bundle export --site depot-7 --artifact plant/app -o all.bundle --json >o.json &&
	test_json ".complete and .artifacts == 5" o.json &&
	test_status 1 as hq bundle export --site depot-7 --artifact plant/web -o none.bundle 2>err && cat err &&
	grep "no artifact is called .plant/web." err &&
	for bad in plant ../x/1 "Plant/app" plant/app/1/2; do
		test_status 2 as hq bundle export --site depot-7 --artifact "$bad" -o none.bundle 2>err || return 1
		cat err
		grep "^hint: write NAMESPACE/NAME or " err || return 1
	done && test ! -e none.bundle && no_parts .
'

test_expect 'for lone devices: with snapshot and timestamp, as long as these last' '
	as hq bundle export -o device.bundle >out 2>err && cat out err && grep "good until .* only, when timestamp expires" err &&
	tar -tf device.bundle >list && grep -x metadata/timestamp.json list && grep "snapshot.json$" list &&
	as hq bundle inspect device.bundle --json >i.json && test_json ".kind == \"device\" and .site == \"main\" and
		.valid_until == .good_until and .first_to_expire == \"timestamp\" and .inside.online.members == 2" i.json &&
	as hq bundle verify device.bundle && meshanics bundle verify device.bundle --root hq.out/root.json &&
	test_status 3 as hq bundle export --valid-for 2d -o no.bundle 2>err && cat err &&
	grep "timestamp of .main. expires at .*, before a bundle that is valid for 2d" err && grep "^hint: give --valid-for 2[0-9]h" err &&
	as hq bundle export --site main --valid-for 1h -o hour.bundle && test ! -e no.bundle
'

test_expect 'nothing that ends before the bundle does' '
	test_status 3 as hq bundle export --site depot-7 --valid-for 91d -o no.bundle 2>err && cat err &&
	grep "releases of .depot-7. expires at" err && grep "^hint: give --valid-for 89d or less" err &&
	test_status 3 as hq bundle export --site depot-7 --valid-for 2y -o no.bundle 2>err &&
	as hq bundle export --site depot-7 --valid-for 89d -o long.bundle &&
	test ! -e no.bundle && no_parts .
'

test_expect 'volumes: small enough, in any order, and none may be missing' '
	as hq bundle export --site depot-7 -o v.bundle --split 1M --json >o.json && cat o.json && ls -l v.bundle.* &&
	test_json ".files == [\"v.bundle.001\", \"v.bundle.002\", \"v.bundle.003\"]" o.json &&
	test -z "$(find . -name "v.bundle.*" -size +1048576c)" && test ! -e v.bundle && no_parts . &&
	test "$(cat v.bundle.* | wc -c)" = "$(jq .file_bytes o.json)" &&
	tar -tf v.bundle.002 | head -n 1 | grep "^volume.json$" && tar -xOf v.bundle.002 volume.json | jq -e ".volume == 2" &&
	tar -tf v.bundle.001 | grep "part-0$" && as hq bundle verify v.bundle.001 &&
	as hq bundle verify v.bundle.003 v.bundle.001 v.bundle.002 && mkdir part && cp v.bundle.001 v.bundle.003 part &&
	test_status 4 as hq bundle verify part/v.bundle.001 2>err && cat err &&
	mkdir b && as hq bundle export --site depot-7 -o b --split 1M && cp b/*.002 part/v.bundle.002 &&
	test_status 3 as hq bundle verify part/v.bundle.001 2>err && cat err && grep "another bundle" err &&
	test_status 1 as hq bundle export --site depot-7 -o v.bundle --split 2M 2>err && grep "there already" err &&
	as hq bundle export --site depot-7 -o v.bundle --split 2M --force --json >o.json && ls v.bundle.* && test ! -e v.bundle.003 &&
	as hq bundle verify v.bundle.001 && test_status 2 as hq bundle export --site depot-7 -o w --split 100K 2>err
'

test_expect 'a changed byte anywhere is refused, and the member named' '
	tar -tRf depot.bundle >blocks && cat blocks && size=$(stat -c %s depot.bundle) && offsets= &&
	for at in $(sed "s/^block \([0-9]*\):.*/\1/" blocks); do
		case $at in *[!0-9]*) continue ;; esac
		offsets="$offsets $((at * 512)) $((at * 512 + 124)) $((at * 512 + 520))"
	done &&
	for at in $offsets $((size - 1)); do
		[ "$at" -lt "$size" ] || continue
		cp depot.bundle bad.bundle && test_flip bad.bundle "$at" && { as hq bundle verify bad.bundle >out 2>err; r=$?; }
		case $r in
		3 | 4) ;;
		0) # padding behind an empty member or a short one is nobody s
			cmp bad.bundle depot.bundle >where; cat where && echo "accepted at $at" && return 1 ;;
		*) cat err && echo "status $r at $at" && return 1 ;;
		esac
		grep -q "bad.bundle\|bundle.json\|metadata/" err || { cat err; return 1; }
	done &&
	grep "targets/" blocks | grep -v targets/e3b0c442 | tail -n 1 >last &&
	at=$(($(sed "s/^block \([0-9]*\):.*/\1/" last) * 512 + 600)) && cp depot.bundle bad.bundle &&
	test_flip bad.bundle $at && test_status 3 as hq bundle verify bad.bundle 2>err && cat err &&
	grep "$(sed "s/.*: //" last)" err && grep -i "sha-256" err &&
	head -c $((size / 2)) depot.bundle >cut.bundle && test_status 4 as hq bundle verify cut.bundle 2>err && cat err &&
	{ cat depot.bundle && echo more; } >more.bundle && test_status 3 as hq bundle verify more.bundle 2>err && cat err
'

test_expect 'nor does a new manifest help, or a signature by another key' '
	repack depot.bundle same.bundle : && as hq bundle verify same.bundle &&
	repack depot.bundle bad.bundle "sed -i 1s/:\\\"main\\\"/:\\\"mein\\\"/ bundle.json" &&
	test_status 3 as hq bundle verify bad.bundle 2>err && cat err && grep "bundle.json.sig is not by a record key (export)" err &&
	repack depot.bundle bad.bundle "sed -i 1s/:\\\"depot-7\\\"/:\\\"depot-8\\\"/ bundle.json" &&
	test_status 3 as hq bundle verify bad.bundle --root depot-7.out/root.json 2>err && grep "for site .depot-8." err &&
	signer mallory && openssl genpkey -algorithm ed25519 -out m.pem 2>/dev/null && ssh-keygen -q -t ed25519 -N "" -f m &&
	repack depot.bundle bad.bundle "rm bundle.json.sig && ssh-keygen -q -Y sign -f ../m -n meshanics-bundle bundle.json" &&
	test_status 3 as hq bundle verify bad.bundle 2>err && cat err && grep "not by a record key" err &&
	repack depot.bundle bad.bundle "cp ../hq.out/root.json metadata/1.root.json" &&
	test_status 3 as hq bundle verify bad.bundle 2>err && cat err && grep "metadata/1.root.json" err
'

test_expect 'a bundle has its time' '
	test_status 3 test_at "+31d" meshanics --home hq bundle verify depot.bundle 2>err && cat err && grep "was valid until" err &&
	test_status 4 test_at "-3d" meshanics --home hq bundle verify depot.bundle 2>err; cat err &&
	as hq bundle inspect depot.bundle >/dev/null
'

test_expect 'damaged bytes do not leave: the artifact is named, and what heals it' '
	blob=$(find hq/repo/targets -name "*.2") && cp "$blob" keep && test_flip "$blob" 100 &&
	test_status 3 as hq bundle export --site depot-7 -o no.bundle 2>err && cat err &&
	grep "artifact .plant/app/2. is damaged" err && grep "^hint: .*repo verify" err && test ! -e no.bundle && no_parts . &&
	: >"$blob" && test_status 3 as hq bundle export --site depot-7 -o no.bundle 2>err && grep "plant/app/2. has another length" err &&
	rm "$blob" && test_status 3 as hq bundle export --site depot-7 -o no.bundle 2>err && grep "plant/app/2. is missing" err &&
	cp keep "$blob" && as hq bundle export --site depot-7 -o yes.bundle
'

test_expect 'with a receipt only what is missing goes along' '
	as depot-7 repo adopt depot-7.out/root.json hq.out/targets.json && as hq bundle export --site depot-7 -o r1.bundle &&
	as depot-7 bundle import r1.bundle --receipt r1.receipt && cp r1.receipt r1.keep &&
	as hq bundle export --site depot-7 --since r1.receipt -o s1.bundle --json >s.json && cat s.json &&
	test_json ".artifacts == 0 and .saved_artifacts == 5 and .saved_bytes == 3090000 and .complete and .members == 1" s.json &&
	test "$(jq -r .since s.json)" = "$(tar -xOf r1.receipt receipt.json | sha256sum | cut -d " " -f 1)" &&
	head -c 20000 /dev/urandom >app-7 && put 7 app-7 &&
	as hq bundle export --site depot-7 --since r1.receipt -o s2.bundle >out && cat out &&
	grep "^left out  *5 artifacts, 2.9 MiB, that the site has" out && grep "^inside .* 2 metadata files, 1 artifacts" out &&
	tar -tf s2.bundle >list && ! grep root.json list && as hq bundle verify s2.bundle >out && cat out &&
	grep "^5 artifacts are listed and not inside" out && as depot-7 bundle verify s2.bundle &&
	as depot-7 bundle import s2.bundle && as depot-7 artifact list | grep plant/app/7 &&
	as hq audit list --action receipt.accept --json >a.json && test_json ".records | length == 2" a.json
'

test_expect 'an old receipt, a changed one and one of nobody are refused' '
	as depot-7 bundle receipt -o r2.receipt && as hq bundle export --site depot-7 --since r2.receipt -o - 2>err >/dev/null &&
	cat err && grep "0 artifacts" err && cp r2.receipt bad.receipt &&
	test_status 3 as hq bundle export --site depot-7 --since r1.keep -o no.bundle 2>err && cat err &&
	grep "receipt .r1.keep.: .* of its audit trail, and one with record" err && grep "^hint: bring the newest one" err &&
	for at in 520 $((512 * 4 + 100)) $(($(stat -c %s r2.receipt) - 1)); do
		cp r2.receipt bad.receipt && test_flip bad.receipt "$at" &&
		test_status 3 as hq bundle export --site depot-7 --since bad.receipt -o no.bundle 2>err || { cat err; return 1; }
		cat err
	done &&
	test_status 3 as hq bundle export --since s2.bundle --site depot-7 -o no.bundle 2>err && cat err &&
	test_status 2 as hq bundle export --since r2.receipt -o no.bundle 2>err && cat err && grep "takes none" err &&
	test_status 1 as hq bundle export --site depot-7 --since nowhere -o no.bundle 2>err && cat err &&
	test ! -e no.bundle && no_parts . && as hq audit list --action receipt.accept --json |
		jq -e "[.records[] | select(.verdict == \"refused\" and .object == \"site:depot-7\")] | length > 0"
'

test_expect 'a kill at any moment leaves nothing that looks like a bundle' '
	truncate -s 400M large && put large large && mkdir killed &&
	test_start export meshanics --home hq bundle export --site depot-7 -o killed/k.bundle &&
	test_wait 20 find_part killed && test_crash export && test_wait 10 no_parts killed && test -z "$(ls killed)" &&
	test_start export meshanics --home hq bundle export --site depot-7 -o killed/k.bundle --split 100M &&
	test_wait 20 test -e killed/k.bundle.002.meshanics-part && kill -KILL "-$(cat export.pid)" && { test_stop export; ls killed; } &&
	find_part killed && : >killed/mine.part && as hq bundle export --site depot-7 --artifact plant/app/1 -o killed/k.bundle &&
	test "$(ls killed | tr "\n" " ")" = "k.bundle mine.part " && as hq bundle verify killed/k.bundle
'

test_expect 'two exports into one directory do each other no harm' '
	mkdir both && test_start one meshanics --home hq bundle export --site depot-7 -o both/a.bundle &&
	test_wait 20 find_part both && as hq bundle export --site depot-7 --artifact plant/app/1 -o both/b.bundle &&
	test_wait 60 test -e both/a.bundle && { test_stop one; as hq bundle verify both/a.bundle; } &&
	as hq bundle verify both/b.bundle && as hq artifact withdraw plant/app/large
'

if [ "$(id -u)" -eq 0 ]; then
	test_expect 'a disk that is too small is told before anything is recorded' '
		test_disk small 2m && as hq audit list --action bundle.export --json | jq ".records | length" >before &&
		test_status 4 as hq bundle export --site depot-7 -o small 2>err && cat err && grep "needs .* bytes in .small." err &&
		test -z "$(ls small)" && as hq audit list --action bundle.export --json | jq ".records | length" | cmp - before &&
		as hq bundle export --site depot-7 --artifact plant/app/1 -o small && ls small
	'

	test_expect 'root writes where only root may, from a repository that another user owns' '
		chown -R 12345:12345 hq && chmod 711 "$TEST_DIR" && mkdir -m 700 roots && as hq bundle export --site depot-7 -o roots >out &&
		cat out && as hq bundle verify roots/*.bundle && test "$(stat -c %u:%a roots/*.bundle)" = 0:644 &&
		test -z "$(find hq -user 0 ! -path hq)" && chown -R 0:0 hq
	'
fi

# Wherever a call fails or the power is cut: no bundle, or a whole one; and the next export makes good what is left.
meshanics version --json >facts
if grep -q '"test_build":true' facts; then
	for mode in error full cutdir; do
		test_expect "every change to a disk that goes wrong, $mode" '
			rm -rf fault && mkdir fault && n=0 good=0 && while [ $good -lt 2 ]; do
				n=$((n + 1)) && [ $n -lt 300 ] || return 1
				MESHANICS_FAULT=$n:$mode meshanics --home hq bundle export --site depot-7 --artifact plant/app/1 \
					--force -o fault/f.bundle >out 2>err
				r=$? && echo "call $n ($mode): exit $r: $(cat err)" && [ $r -eq 0 ] || good=-1
				good=$((good + 1))
				[ ! -e fault/f.bundle ] || as hq bundle verify fault/f.bundle >/dev/null || return 1
				[ $r -eq 0 ] || case $r in 1 | 3 | 4 | 99) ;; *) return 1 ;; esac
			done && [ $n -gt 20 ] && no_parts fault && as hq repo verify && as hq audit verify && ls fault
		'
	done
fi

test_expect 'through a serve that runs, too' '
	as hq ca init >/dev/null && fleet_serve && as hq bundle export --site depot-7 -o served.bundle >out && cat out &&
	as hq bundle verify served.bundle && test_stop serve
'

test_done

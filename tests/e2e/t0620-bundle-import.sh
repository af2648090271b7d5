#!/bin/sh
# `bundle import` and `bundle receipt`: what a bundle brings comes into force, whatever else comes leaves no trace, and
# what a site holds is told to where the bundles are made.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq perl tar

# put VERSION FILE [ARG...]: publish plant/app/VERSION at headquarters.
put() {
	put_v=$1 put_f=$2
	shift 2
	as hq sign "$put_f" --namespace plant --name app --version "$put_v" "$@" >/dev/null
}

# export NAME [ARG...]: NAME.bundle for the depot.
export_to() {
	export_n=$1
	shift
	as hq bundle export --site depot-7 -o "$export_n.bundle" --force "$@"
}

# tree HOME: every file of it, with its bytes.
tree() {
	(cd "$1" && find . -type f ! -name "*.sock" -exec sha256sum {} + | sort && find . -type d | sort)
}

# published HOME: what its clients see, in one line.
published() {
	as "$1" artifact list --json | jq -r "[.artifacts[].artifact] | sort | join(\" \")"
}

# versions HOME ROLE: the version in force.
version_of() {
	as "$1" repo status --json | jq -r --arg r "$2" ".roles[] | select(.role == \$r) | .version"
}

test_expect 'headquarters with artifacts, and a depot under the same offline keys' '
	for i in 1 2 3 4 5 6; do head -c 30000 /dev/urandom >"app-$i" || return 1; done && cp app-1 app-2 && : >app-3 &&
	site_up hq && site_depot depot-7 && as hq repo adopt depot-7.out/root.json &&
	as depot-7 repo adopt depot-7.out/root.json hq.out/targets.json && cp -a depot-7 depot.new &&
	for i in 1 2 3 4; do put "$i" "app-$i" || return 1; done && export_to one
'

test_expect 'a dry run tells what would be, and changes nothing at all' '
	tree depot-7 >before && as depot-7 bundle import --dry-run one.bundle >out && cat out &&
	grep "^artifacts  *3 read, 3 new" out && grep "it would be imported; nothing has changed" out &&
	tree depot-7 >after && cmp before after && test_status 2 as depot-7 bundle import --dry-run --receipt r one.bundle
'

test_expect 'a bundle comes into force' '
	as depot-7 bundle import one.bundle >out && cat out && grep "^in force  *root 1, targets 1" out &&
	as depot-7 repo verify && test "$(published depot-7)" = "plant/app/1 plant/app/2 plant/app/3 plant/app/4" &&
	test "$(published depot-7)" = "$(published hq)" && test -z "$(ls -A depot-7/repo/staging)" &&
	test "$(ls -A depot-7/repo/import)" = lock &&
	as depot-7 audit list --action bundle.import --json >a.json && cat a.json &&
	test_json ".records | length == 1 and .[0].object == \"site:main\" and .[0].verdict == \"ok\" and .[0].detail.sequence == 1" a.json &&
	test "$(jq -r ".records[0].detail.bundle" a.json)" = "$(tar -xOf one.bundle bundle.json | sha256sum | cut -d " " -f 1)"
'

test_expect 'the same again says so, and signs nothing' '
	tree depot-7/repo/metadata >before && as depot-7 bundle import one.bundle >out && cat out &&
	grep "already here: nothing has changed" out && tree depot-7/repo/metadata >after && cmp before after
'

test_expect 'the same again heals what was damaged or lost' '
	blob=$(find depot-7/repo/targets -name "*.4") && test -n "$blob" && test_flip "$blob" 100 &&
	rm depot-7/repo/targets/plant/app/*.3 && echo "{}" >"depot-7/repo/metadata/$(version_of depot-7 releases).releases.json" &&
	test_status 3 as depot-7 repo verify && as depot-7 bundle import one.bundle >out && cat out &&
	grep "^healed  *2 " out && as depot-7 repo verify && test -z "$(ls -A depot-7/repo/staging)"
'

test_expect 'a gap is fine, an older one is refused kindly, and the trail knows of it' '
	put 5 app-5 && export_to two && put 6 app-6 && export_to three &&
	as depot-7 bundle import three.bundle && test "$(published depot-7)" = "$(published hq)" && as depot-7 repo verify &&
	tree depot-7/repo >before && test_status 3 as depot-7 bundle import two.bundle 2>err && cat err &&
	grep "releases version .* is older than version .*, which this site holds (from bundle [0-9]* of .main., made at" err &&
	grep "^hint: nothing has changed; nothing needs to be done" err && tree depot-7/repo >after && cmp before after &&
	as depot-7 audit list --action bundle.import --json >a.json && jq ".records[0]" a.json &&
	test_json ".records[0] | .verdict == \"refused\" and .object == \"site:main\" and .detail.kind == \"refused\" and
		(.detail.text | contains(\"older\")) and .detail.sequence == 2" a.json &&
	test "$(jq -r ".records[0].detail.bundle" a.json)" = "$(tar -xOf two.bundle bundle.json | sha256sum | cut -d " " -f 1)"
'

# refused TEXT FILE: the depot refuses it, and nothing in its repository has changed.
refused() {
	tree depot-7/repo >before || return 1
	test_status 3 as depot-7 bundle import "$2" 2>err || { cat err && return 1; }
	cat err && grep -e "$1" err && tree depot-7/repo >after && cmp before after
}

test_expect 'what is for another site, or for devices, or was changed on its way, is refused and leaves no trace' '
	site_depot depot-8 && as hq repo adopt depot-8.out/root.json && as hq bundle export --site depot-8 -o other.bundle &&
	refused "for site .depot-8." other.bundle && as hq bundle export -o device.bundle &&
	refused "for devices of .main." device.bundle &&
	echo stranger >app-7 && put 7 app-7 && export_to four && cp four.bundle bad.bundle &&
	at=$(grep -abo stranger bad.bundle | tail -n 1 | cut -d : -f 1) && test_flip bad.bundle "$at" &&
	test_status 3 as depot-7 bundle import bad.bundle 2>err && cat err && grep "its SHA-256 is not the one that is listed" err &&
	test "$(published depot-7)" != "$(published hq)" && cp four.bundle bad.bundle && test_flip bad.bundle 700 &&
	! as depot-7 bundle import bad.bundle && as depot-7 repo verify && rm app-7
'

test_expect 'a root of another site does not get in' '
	rm -rf x && mkdir x && tar -xf four.bundle -C x && tar -tf four.bundle >names &&
	cp hq.out/root.json x/metadata/1.root.json && tar --format=ustar --owner=0 --group=0 --numeric-owner --mode=0644 \
		--mtime=@1700000000 -b 1 -cf foreign.bundle -C x --no-recursion -T names &&
	refused "1.root.json.: it has .* bytes, and .* are listed" foreign.bundle
'

test_expect 'a bundle that is cut short is tried again, and nothing is lost' '
	put 8 app-5 --note longer && head -c 400000 /dev/urandom >big && put 9 big && export_to five &&
	size=$(stat -c %s five.bundle) && for part in 3 2; do
		head -c $((size / 4 * part)) five.bundle >cut.bundle &&
			test_status 4 as depot-7 bundle import cut.bundle 2>err && cat err || return 1
	done && ls -A depot-7/repo/staging && test -n "$(ls -A depot-7/repo/staging)" &&
	as depot-7 bundle import - <five.bundle >out && cat out && grep "in force" out && as depot-7 repo verify &&
	test "$(published depot-7)" = "$(published hq)"
'

test_expect 'volumes, one stick after the other' '
	head -c 5000000 /dev/urandom >big2 && put 10 big2 && as hq bundle export --site depot-7 -o vol.bundle --split 2M &&
	ls vol.bundle.* && mkdir s1 s2 s3 && mv vol.bundle.001 s1 && mv vol.bundle.002 s2 && mv vol.bundle.003 s3 &&
	test_status 4 as depot-7 bundle import s2/vol.bundle.002 2>err && cat err && grep "volume 1" err &&
	mkdir bad && cp s?/vol.bundle.* bad && test_flip bad/vol.bundle.002 1500000 &&
	test_status 3 as depot-7 bundle import bad/vol.bundle.001 2>err && cat err &&
	grep "not the one that is listed; it lies in volumes 1 to 3" err && grep "^hint: one of these .* copy all of them again" err &&
	mkdir worse && mv bad/vol.bundle.003 worse && test_status 4 as depot-7 bundle import bad/vol.bundle.001 &&
	test_status 3 as depot-7 bundle import worse/vol.bundle.003 2>err && cat err && grep "^hint: .*copy all .* begin again with volume 1" err &&
	test_status 4 as depot-7 bundle import s1/vol.bundle.001 2>err && cat err &&
	grep "volume 2 of [0-9]* is not here; what was read is kept" err && grep "^hint: insert it and run the same command" err &&
	test_status 4 as depot-7 bundle import s3/vol.bundle.003 2>err && cat err && grep "volume before" err &&
	test_status 4 as depot-7 bundle import s2/vol.bundle.002 2>err && cat err && grep "volume 3" err &&
	as depot-7 bundle import s3/vol.bundle.* >out && cat out && test "$(published depot-7)" = "$(published hq)" &&
	test_status 4 as depot-7 bundle import s3/vol.bundle.003 2>err && cat err && grep "^hint: all of it was imported before" err &&
	as depot-7 repo verify && test "$(ls -A depot-7/repo/import)" = lock && test -z "$(ls -A depot-7/repo/staging)"
'

test_expect 'a selection: what is left out is remembered, and comes later' '
	cp -a depot.new depot-9 && rm -rf depot-7.kept && mv depot-7 depot-7.kept && mv depot-9 depot-7 &&
	export_to some --artifact plant/app/4 && as depot-7 bundle import some.bundle >out && cat out &&
	grep "^not held  *[1-9]" out && as depot-7 repo verify && test "$(find depot-7/repo/targets -type f | wc -l)" = 1 &&
	test -s depot-7/repo/selected && as depot-7 artifact list >out && cat out && grep "^plant/app/1 .*, not held" out &&
	! grep "^plant/app/4 .*not held" out && as depot-7 artifact show plant/app/1 | grep "not held at this site" &&
	as depot-7 ca init >/dev/null && test_status 1 as depot-7 rollout create plant/app/1 --all 2>err && cat err &&
	grep "its bytes are not held at this site" err && grep "^hint: .*bundle import" err && export_to all && as depot-7 bundle import all.bundle && test ! -e depot-7/repo/selected &&
	as depot-7 repo verify && test "$(published depot-7)" = "$(published hq)"
'

test_expect 'a receipt: what the site holds, and nothing else' '
	as depot-7 bundle receipt -o r1 >out && cat out && grep "^from  *site .depot-7., with bundle number" out &&
	tar -tf r1 | tr "\n" " " >list && test "$(cat list)" = "receipt.json receipt.json.sig held " &&
	tar -xOf r1 receipt.json >r.json && jq . r.json &&
	test "$(jq -c "keys" r.json)" = "[\"audit\",\"bundle\",\"created\",\"format\",\"held\",\"sequence\",\"site\",\"versions\"]" &&
	test "$(jq -c "[.held, .audit, .versions] | map(keys)" r.json)" = \
		"[[\"count\",\"sha256\"],[\"hash\",\"seq\"],[\"releases\",\"root\",\"targets\"]]" &&
	tar -xOf r1 held | sort -c && test "$(tar -xOf r1 held | wc -l)" = "$(jq .held.count r.json)" &&
	test "$(jq -r .bundle r.json)" = "$(tar -xOf all.bundle bundle.json | sha256sum | cut -d " " -f 1)" &&
	as depot-7 bundle receipt >r2 2>/dev/null && tar -tf r2 >/dev/null &&
	test "$(stat -c %a depot-7/repo/receipt)" = 644
'

test_expect 'headquarters accept a receipt, and leave out what is held' '
	as hq bundle receipt r1 >out && cat out && grep "^accepted" out && as hq bundle receipt - <r2 &&
	echo new >app-11 && put 11 app-11 && cat r2 | export_to since --since - && test "$(stat -c %s since.bundle)" -lt 60000 &&
	as depot-7 bundle import --receipt r3 since.bundle >out && cat out && test "$(published depot-7)" = "$(published hq)" &&
	as depot-7 repo verify && as hq bundle receipt r3
'

test_expect 'what a receipt promised and is not held any more is asked for again' '
	rm depot-7/repo/targets/plant/app/*.10 && echo newer >app-12 && put 12 app-12 && export_to since2 --since r3 &&
	refused "neither in the bundle nor held here" since2.bundle && grep "^hint: .*without --since" err &&
	export_to whole && as depot-7 bundle import whole.bundle && as depot-7 repo verify
'

test_expect 'forged and replayed receipts are refused at headquarters' '
	test_status 3 as hq bundle receipt r1 2>err && cat err && grep "record .* of its audit trail" err &&
	rm -rf x && mkdir x && tar -xf r3 -C x && sed -i "s/\"targets\":1/\"targets\":9/" x/receipt.json &&
	! tar -xOf r3 receipt.json | cmp -s - x/receipt.json &&
	tar --format=ustar --owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@1700000000 -b 1 -cf forged -C x \
		receipt.json receipt.json.sig held && test_status 3 as hq bundle receipt forged 2>err && cat err &&
	grep "not signed by a site record key" err && as depot-8 repo adopt depot-8.out/root.json hq.out/targets.json &&
	as depot-8 bundle receipt -o r8 && as hq bundle receipt r8 && rm -rf y && mkdir y && tar -xf r8 -C y &&
	cp y/receipt.json.sig x && tar -xOf r3 receipt.json >x/receipt.json &&
	tar --format=ustar --owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@1700000000 -b 1 -cf forged -C x \
		receipt.json receipt.json.sig held && test_status 3 as hq bundle receipt forged
'

# signed REQUEST DIR WHO...: these sign, alice finishes into DIR
signed() {
	signed_r=$1 signed_d=$2
	shift 2
	mkdir -p "$signed_d" && signed_f=$(fingerprint "$signed_r") || return 1
	for who in "$@"; do
		as "$who" ceremony sign "$signed_r" --key "$who" --fingerprint "$signed_f" -o "$signed_d/$who.answer" || return 1
	done
	as alice ceremony finish "$signed_r" "$signed_d"/*.answer -o "$signed_d"
}

test_expect 'the next root of the site comes with the next bundle' '
	as alice ceremony rotate --root depot-7.out/root.json -o next.json && signed next.json depot2 alice bob &&
	as hq repo adopt depot2/root.json && export_to rooted && as depot-7 bundle import rooted.bundle >out && cat out &&
	grep "^roots  *1 new" out && grep "in force  *root 2" out && as depot-7 repo verify && test "$(version_of depot-7 root)" = 2 &&
	as depot-7 bundle receipt -o r4 && as hq bundle receipt r4
'

test_expect 'a stolen publisher key ends at the site with the bundle that says so' '
	cp -a hq thief && signer fresh && as alice ceremony delegate --root hq.out/root.json --targets hq.out/targets.json \
		--remove releases --publisher "releases2:plant/*/*" --key fresh.pub -o delegate.json && signed delegate.json hq2 alice &&
	as hq repo adopt hq2/targets.json && export_to ended && as depot-7 bundle import ended.bundle >out && cat out &&
	grep "targets 2" out && as depot-7 repo verify && test -z "$(published depot-7)" &&
	echo evil >evil && as thief sign evil --namespace plant --name app --version 99 >/dev/null &&
	as thief bundle export --site depot-7 -o evil.bundle && refused "targets version 1 is older than version 2" evil.bundle &&
	as hq sign app-11 --namespace plant --name app --version 13 --key fresh/keys/fresh.key >/dev/null && export_to fresh &&
	as depot-7 bundle import fresh.bundle && test "$(published depot-7)" = plant/app/13 && as depot-7 repo verify
'

test_expect 'the trails of both sides tell the same story' '
	as depot-7 bundle receipt -o r5 >/dev/null && as hq bundle receipt r5 && as depot-7 audit export -o depot.trail &&
	as hq audit export -o hq.trail && as hq audit verify hq.trail --key hq/repo/keys/record-site.pub --with depot.trail \
		--with-key depot-7/repo/keys/record-site.pub >out 2>err; r=$?; cat out err; test $r = 0
'
test_done

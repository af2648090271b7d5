#!/bin/sh
# The chain of custody: bundles and receipts between two sites, the trails of both held against each other, and what no
# two honest trails say.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq

# depot_up: a site that takes the targets of hq, in force at both
depot_up() {
	as depot repo init --site depot-7 -o depot.online.json &&
		as alice ceremony new --like hq.out/root.json --online-keys depot.online.json -o depot.request.json &&
		depot_f=$(fingerprint depot.request.json) && mkdir depot.out || return 1
	for depot_w in alice carol; do
		as "$depot_w" ceremony sign depot.request.json --key "$depot_w" --fingerprint "$depot_f" \
			-o "depot.out/answer-$depot_w.json" || return 1
	done
	as alice ceremony finish depot.request.json depot.out -o depot.out &&
		as hq repo adopt depot.out/root.json && as depot repo adopt depot.out/root.json hq.out/targets.json
}
# bundle NAME TEXT: publish something and export it
bundle() {
	echo "$2" >"$1.txt" && as hq sign "$1.txt" --namespace plant --name "$1" --version 1 >/dev/null &&
		as hq bundle export --site depot-7 -o "$1.bundle" >/dev/null
}
# trails: both, as they are now
trails() {
	as hq audit export -o main.ndjson && as depot audit export -o depot.ndjson
}
# custody ARG...: as an auditor does, with the public keys only
custody() {
	meshanics audit verify main.ndjson --key hq/repo/keys/record-site.pub --with depot.ndjson \
		--with-key depot/repo/keys/record-site.pub "$@"
}

test_expect 'two sites, and nothing between them yet' '
	site_up hq && depot_up && trails && custody >out && cat out && grep "^site main: records 1 to" out && grep "^site depot-7: .* signed" out &&
	grep "0 bundles acknowledged, 0 open" out
'
test_expect 'whose signatures are believed is said for both' '
	test_status 2 meshanics audit verify main.ndjson --key hq/repo/keys/record-site.pub --with depot.ndjson 2>err && grep "hint: .*--with-key" err &&
	test_status 2 meshanics audit verify main.ndjson --chain-only --with depot.ndjson --with-key depot/repo/keys/record-site.pub &&
	test_status 2 meshanics audit verify main.ndjson --chain-only --with-key depot/repo/keys/record-site.pub &&
	test_status 2 as hq audit verify --with depot.ndjson &&
	test_status 3 meshanics audit verify main.ndjson --key hq/repo/keys/record-site.pub --with depot.ndjson \
		--with-key hq/repo/keys/record-site.pub 2>err && grep "depot.ndjson.*not signed by the site.s record key" err &&
	test_status 2 meshanics audit verify main.ndjson --chain-only --with main.ndjson 2>err && grep "both trails are of site .main." err &&
	test_status 1 meshanics audit verify main.ndjson --chain-only --with nowhere &&
	meshanics audit verify depot.ndjson --chain-only --with main.ndjson >out && grep "not checked for a signature" out
'
# steps N WHAT WHERE...: just these stand below bundle N in `out`, in this order.
steps() {
	steps_n=$1
	shift
	printf "%s %s\n" "$@" >steps.want
	sed -n "/^bundle $steps_n /,/^[^ ]/s/^  \([a-z-]*\)  *\([^#]*\).*/\1 \2/p" out >steps.got
	diff steps.want steps.got
}
test_expect 'a bundle goes, and its receipt comes back' '
	bundle one first && as depot bundle import one.bundle && as depot bundle receipt -o one.receipt &&
	bundle two second && as hq bundle export --site depot-7 --since one.receipt -o three.bundle && trails && custody >out && cat out &&
	grep "^bundle 1 [0-9a-f]\{12\}, acknowledged$" out && steps 1 exported main imported depot-7 receipt depot-7 accepted main &&
	grep "^bundle 2 .*, under way$" out && steps 2 exported main && grep "^bundle 3 .*, under way$" out && grep "1 bundles acknowledged, 2 open: 2 under way" out &&
	custody --json >out.json && test_json ".holds and (.bundles | length) == 3 and .contradictions == []" out.json &&
	test_json "[.bundles[].state] == [\"acknowledged\", \"under_way\", \"under_way\"]" out.json &&
	id=$(tar -xOf one.bundle bundle.json | sha256sum | cut -d " " -f 1) && test "$(jq -r ".bundles[0].bundle" out.json)" = "$id" &&
	seq=$(jq ".bundles[0].imported.seq" out.json) && test "$(jq -r "select(.seq == $seq) | .detail.bundle" depot.ndjson)" = "$id" &&
	seq=$(jq ".bundles[0].accepted.seq" out.json) && test "$(jq -r "select(.seq == $seq) | .action" main.ndjson)" = receipt.accept
'
test_expect 'what was refused is told with its reason, and stays open' '
	cp two.bundle bent.bundle && at=$(grep -abo "second" bent.bundle | head -n 1 | cut -d : -f 1) && test_flip bent.bundle "$at" &&
	test_status 3 as depot bundle import bent.bundle && trails && custody >out && cat out &&
	steps 2 exported main refused depot-7 && grep "^  refused .*Z  .*SHA-256" out && grep "1 refused" out &&
	as depot bundle import three.bundle && trails && custody >out && cat out && steps 3 exported main imported depot-7 - "no receipt made by depot-7" &&
	as depot bundle receipt -o three.receipt && trails && custody >out && steps 3 exported main imported depot-7 receipt depot-7 - "receipt not brought back from depot-7" &&
	as hq bundle export --site depot-7 --since three.receipt -o four.bundle && trails && custody >out && cat out &&
	steps 3 exported main imported depot-7 receipt depot-7 accepted main && grep "2 bundles acknowledged" out
'
test_expect 'an older export of one trail lacks what the other has witnessed, and is refused' '
	cp depot.ndjson old.ndjson && as depot bundle receipt -o five.receipt && as hq bundle export --site depot-7 --since five.receipt -o five.bundle &&
	trails && custody >/dev/null && cp depot.ndjson new.ndjson && cp old.ndjson depot.ndjson && test_status 3 custody >out 2>err && cat out err &&
	grep "CONTRADICTION: receipt .* accepted it, and no record of .depot-7. made it" out && grep "hint: where an export is old" err &&
	test_status 3 custody --json >out.json 2>err && test_json "(.holds | not) and (.contradictions | length) > 0 and (.bundles | length) > 3" out.json &&
	cp new.ndjson depot.ndjson
'

# Trails made by hand: a line a record, as anybody can who has the database and a shell; the head is not signed.
# begin FILE SITE, say ACTION OBJECT VERDICT DETAIL, end
begin() {
	hand=$1 hand_site=$2 hand_n=0 hand_prev=$(printf %064d 0)
	: >"$hand"
}
say() {
	hand_n=$((hand_n + 1))
	hand_line=$(jq -cSn --arg action "$1" --arg object "$2" --arg verdict "$3" --argjson detail "$4" --arg prev "$hand_prev" \
		--argjson seq "$hand_n" --arg time "$(printf '2026-11-28T10:%02d:00Z' "$hand_n")" \
		'{$action, actor: "local:0", $detail, $object, $prev, $seq, $time, $verdict}') || return 1
	hand_prev=$(printf %s "$hand_line" | sha256sum | cut -d ' ' -f 1)
	printf '%s\n' "$hand_line" | jq -cS --arg hash "$hand_prev" '. + {$hash}' >>"$hand"
}
end() {
	jq -cn --arg head "$(jq -cSn --arg hash "$hand_prev" --argjson seq "$hand_n" --arg site "$hand_site" \
		'{format: "meshanics-audit-head-1", $hash, $seq, $site, time: "2026-11-28T12:00:00Z", verdict: "intact"}')" \
		'{$head, signature: null}' >>"$hand"
}
# head_at FILE SEQ: {"seq","hash"}
head_at() {
	jq -c "select(.seq == $2) | {seq, hash}" "$1"
}
a=$(printf %064d 1) b=$(printf %064d 2) r=$(printf %064d 3)
# main 1: something, 2: export a; depot 1: something, 2: import a, 3: receipt r; main 3: accept r
honest() {
	begin m.ndjson main && say artifact.publish artifact:x ok '{}' &&
		say bundle.export site:depot-7 ok "{\"bundle\":\"$a\",\"sequence\":1,\"head\":$(head_at m.ndjson 1)}" &&
		m_n=$hand_n m_prev=$hand_prev &&
		begin d.ndjson depot-7 && say device.register device:y ok '{}' &&
		say bundle.import site:main ok "{\"bundle\":\"$a\",\"sequence\":1,\"origin_head\":$(head_at m.ndjson 1)}" &&
		say receipt.make site:depot-7 ok "{\"receipt\":\"$r\",\"bundle\":\"$a\",\"head\":$(head_at d.ndjson 2)}" &&
		d_n=$hand_n d_prev=$hand_prev && on_main &&
		say receipt.accept site:depot-7 ok "{\"receipt\":\"$r\",\"bundle\":\"$a\",\"site_head\":$(head_at d.ndjson 2)}" &&
		m_n=$hand_n m_prev=$hand_prev
}
on_main() {
	hand=m.ndjson hand_site=main hand_n=$m_n hand_prev=$m_prev
}
on_depot() {
	hand=d.ndjson hand_site=depot-7 hand_n=$d_n hand_prev=$d_prev
}
# judge STATUS: both ended as they stand
judge() {
	test_status "$1" meshanics audit verify m.ndjson --chain-only --with d.ndjson >out 2>err
	judge_r=$?
	cat out err
	return $judge_r
}

test_expect 'an honest pair by hand holds' '
	honest && end && on_depot && end && judge 0 && grep "1 bundles acknowledged, 0 open" out
'
test_expect 'an import that nobody exported' '
	honest && end && on_depot && say bundle.import site:main ok "{\"bundle\":\"$b\",\"sequence\":2,\"origin_head\":$(head_at m.ndjson 3)}" && end &&
	judge 3 && grep "record 4 of .depot-7. imported it, and no record of .main. exported it" err
'
test_expect 'a receipt that nobody made' '
	honest && say receipt.accept site:depot-7 ok "{\"receipt\":\"$b\",\"bundle\":null,\"site_head\":$(head_at d.ndjson 1)}" && end && on_depot && end &&
	judge 3 && grep "record 4 of .main. accepted it, and no record of .depot-7. made it" err
'
test_expect 'a head of a trail that was rewritten' '
	honest && end && on_depot && end && cp d.ndjson d.kept &&
	begin m.ndjson main && say artifact.publish artifact:another ok "{}" &&
	say bundle.export site:depot-7 ok "{\"bundle\":\"$a\",\"sequence\":1,\"head\":$(head_at m.ndjson 1)}" &&
	say receipt.accept site:depot-7 ok "{\"receipt\":\"$r\",\"bundle\":\"$a\",\"site_head\":$(head_at d.ndjson 2)}" && end && judge 3 &&
	grep "record 2 of .main. exported it with head 1, record 2 of .depot-7. imported it with another head 1" err &&
	grep "CONTRADICTION: .*record 2 of .depot-7. imported it with head 1, which is not the record of this number in the trail of .main." out
'
test_expect 'an import before its export' '
	honest && end && on_depot && say bundle.import site:main ok "{\"bundle\":\"$b\",\"sequence\":2,\"origin_head\":$(head_at m.ndjson 3)}" &&
	say receipt.make site:depot-7 ok "{\"receipt\":\"$b\",\"bundle\":\"$b\",\"head\":$(head_at d.ndjson 4)}" && end && on_main &&
	sed -i "\$d" m.ndjson && say receipt.accept site:depot-7 ok "{\"receipt\":\"$b\",\"bundle\":\"$b\",\"site_head\":$(head_at d.ndjson 4)}" &&
	say bundle.export site:depot-7 ok "{\"bundle\":\"$b\",\"sequence\":2,\"head\":$(head_at m.ndjson 3)}" && end && judge 3 &&
	grep "imported by record 4 of .depot-7. before it was exported" err
'
test_expect 'a record that says too little, or a broken trail, is named' '
	honest && say bundle.export site:depot-7 ok "{\"bundle\":\"$b\"}" && end && on_depot && end && judge 3 && grep "m.ndjson.*audit record 4, bundle.export" err &&
	honest && end && on_depot && end && sed -i "2s/depot/dep0t/;2s/main/ma1n/" d.ndjson && judge 3 && grep "d.ndjson.*audit record 2 was changed" err
'
test_done

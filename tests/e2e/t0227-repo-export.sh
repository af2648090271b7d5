#!/bin/sh
# `repo export`: a static tree that clients can use at every moment, whatever becomes of the export.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq perl

port='' was='' is=''

# put VERSION TEXT: publish plant/app/VERSION.
put() {
	printf '%s' "$2" >"app-$1" && as hq sign "app-$1" --namespace plant --name app --version "$1" >/dev/null
}

# client DIR VERB [ARG...]: a client that keeps its state in DIR, of the tree in www/.
client() {
	client_d=$1
	shift
	mkdir -p "$client_d.t" &&
		meshanics tuf-client --metadata-dir "$client_d" --metadata-url "http://127.0.0.1:$port/metadata/" \
			--target-dir "$client_d.t" --target-base-url "http://127.0.0.1:$port/targets/" "$@"
}

# fresh DIR: a client that knows the first root and nothing else.
fresh() {
	rm -rf "$1" "$1.t" && mkdir "$1" && meshanics tuf-client --metadata-dir "$1" init hq.out/root.json
}

# The timestamp's version in a directory.
version() {
	jq .signed.version "$1/timestamp.json"
}

test_expect 'a site with an artifact, exported' '
	test_status 1 as hq repo export www 2>err && grep "repo init" err && test ! -e www &&
	site_init hq && test_status 1 as hq repo export www 2>err && grep "no root yet" err && test ! -e www &&
	rm -rf hq && site_up hq && put 1 one &&
	as hq repo export www >out && cat out && grep "6 files, .*; 6 written" out && grep "root 1, timestamp .* good until" out &&
	for f in metadata targets; do
		diff -r -x 1795 hq/repo/$f www/$f >diff
		! grep "^Only in www\|differ" diff || return 1
	done
'

test_expect 'a client updates from it over plain http' '
	test_start web "$TEST_SRC/tests/e2e/httpd.pl" port www web.requests && test_wait 10 test -s port && port=$(cat port) &&
	fresh c && client c --target-name plant/app/1 download && cmp c.t/* app-1 &&
	test "$(version c)" = "$(version www/metadata)"
'

test_expect 'nothing new: nothing is written' '
	find www -type f -printf "%p %i %T@\n" | sort >before && as hq repo export www --json >out.json &&
	find www -type f -printf "%p %i %T@\n" | sort >after && cmp before after &&
	test_json ".written == 0 and .files == 6 and .removed == 0 and .root_version == 1" out.json
'

test_expect 'new versions arrive; a withdrawn one is no longer found' '
	put 2 two && as hq repo export www --json >out.json && test_json ".written == 4" out.json &&
	client c --target-name plant/app/2 download && grep -q two c.t/*2 &&
	as hq artifact withdraw plant/app/1 && as hq repo export www && client c refresh &&
	test_status 1 client c --target-name plant/app/1 download 2>err && cat err &&
	client c --target-name plant/app/2 download
'

test_expect '--list names all files in the order to upload them' '
	as hq repo export www --list >list && cut -f 4 list >names &&
	test "$(tail -n 1 names)" = metadata/timestamp.json && test "$(tail -n 2 names | head -n 1)" = metadata/1.root.json &&
	test "$(grep -c targets/ names)" = "$(grep -n targets/ names | tail -n 1 | cut -d: -f 1)" &&
	test "$(grep -c ^immutable list)" = "$(($(wc -l <list) - 1))" && grep "^no-cache.*timestamp.json" list &&
	tab=$(printf "\t") && rm -rf www2 && while IFS="$tab" read -r cache size sha256 path; do
		mkdir -p "www2/$(dirname "$path")" && cp "www/$path" "www2/$path" &&
		test "$(wc -c <"www2/$path")" = "$size" && echo "$sha256  www2/$path" | sha256sum -c --quiet || return 1
		[ "$path" != metadata/timestamp.json ] || test "$cache" = no-cache || return 1
	done <list &&
	mv www www1 && mv www2 www && fresh d && client d --target-name plant/app/2 download && rm -rf www && mv www1 www &&
	as hq repo export www --list --json >list.json && test "$(wc -l <list.json)" = "$(wc -l <list)" &&
	jq -r .path list.json | cmp - names &&
	jq -s -e "all(.[]; .written == false) and (.[-1].immutable == false) and all(.[:-1][]; .immutable)" list.json
'

test_expect 'a full pipe or a gone reader ends the export before the timestamp' '
	put 3 three && before=$(version www/metadata) && test_status 1 as hq repo export www --list >/dev/full &&
	test "$(version www/metadata)" = "$before" && client c refresh && as hq repo export www
'

test_expect 'damaged copies heal: by length always, by content with --check' '
	a=$(ls www/targets/plant/app/*.2) && printf "tw" >"$a" && as hq repo export www && cmp "$a" app-2 &&
	printf "tvo" >"$a" && as hq repo export www && ! cmp "$a" app-2 &&
	as hq repo export www --check --json >out.json && test_json ".written == 1" out.json && cmp "$a" app-2 &&
	for f in www/metadata/timestamp.json www/metadata/1.root.json www/metadata/1.targets.json \
		"$(ls -t www/metadata/*.snapshot.json | head -n 1)"; do
		cp "$f" saved && echo garbage >"$f" && as hq repo export www && cmp saved "$f" || return 1
	done &&
	rm www/metadata/timestamp.json && as hq repo export www && fresh d && client d --target-name plant/app/2 download
'

# ---- pruning ----

test_expect '--prune leaves what clients under way may ask for' '
	old=$(ls www/targets/plant/app/*.1) && test -e "$old" && cp www/metadata/timestamp.json under-way.json &&
	as hq repo export www --prune --json >out.json && test_json ".removed == 0" out.json && test -e "$old" &&
	echo mine >www/index.html && echo mine >www/metadata/readme.txt && mkdir -p www/targets/own && echo mine >www/targets/own/note &&
	for i in 1 2 3 4 5 6 7 8; do
		as hq repo refresh --force >/dev/null && as hq repo export www --prune >out || return 1
	done && cat out && test ! -e "$old" && test "$(ls www/metadata/*.snapshot.json | wc -l)" = 9 &&
	test "$(ls www/metadata/*.releases.json | wc -l)" = 9 && test -e www/metadata/1.root.json &&
	test "$(jq .signed.meta.\"snapshot.json\".version under-way.json)" -gt 0 &&
	test -e "www/metadata/$(jq .signed.meta.\"snapshot.json\".version under-way.json).snapshot.json" &&
	cat www/index.html www/metadata/readme.txt www/targets/own/note && as hq repo refresh --force &&
	as hq repo export www && test "$(ls www/metadata/*.snapshot.json | wc -l)" = 10 &&
	fresh d && client d --target-name plant/app/2 download && client c refresh
'

test_expect 'bytes that the repository has let go of go at once' '
	put 4 four && as hq repo export www --prune && four=$(ls www/targets/plant/app/*.4) &&
	as hq artifact withdraw plant/app/4 --remove-bytes && as hq repo export www && test -e "$four" &&
	as hq repo export www --prune && test ! -e "$four" &&
	echo once | cat >once && as hq sign once --namespace plant --name once --version 1 && as hq repo export www &&
	test -d www/targets/plant/once && as hq artifact withdraw plant/once/1 --remove-bytes && as hq repo export www --prune &&
	test ! -e www/targets/plant/once && test -d www/targets/plant/app
'

# ---- refusals ----

test_expect 'what devices would refuse is not exported' '
	rm -rf hq.saved && cp -a hq hq.saved && before=$(version www/metadata) &&
	as hq repo refresh --timestamp-life 1s && sleep 1.1 &&
	test_status 3 as hq repo export www 2>err && grep "expired" err && grep "hint:.*repo refresh" err &&
	test "$(version www/metadata)" = "$before" && as hq repo refresh &&
	s=$(ls -t hq/repo/metadata/*.snapshot.json | head -n 1) && test_flip "$s" 100 &&
	test_status 3 as hq repo export www 2>err && grep "snapshot" err && test_flip "$s" 100 &&
	f=$(ls -t hq/repo/metadata/*.releases.json | head -n 1) && test_flip "$f" 100 &&
	test_status 3 as hq repo export www 2>err && grep "releases.json" err && test_flip "$f" 100 &&
	mv "$f" away && test_status 3 as hq repo export www 2>err && grep "releases.json" err && mv away "$f" &&
	test "$(version www/metadata)" = "$before" && as hq repo export www
'

test_expect 'an artifact that is damaged or missing here is not exported' '
	put 5 five && b=$(ls hq/repo/targets/plant/app/*.5) && before=$(version www/metadata) && test_flip "$b" 1 &&
	test_status 3 as hq repo export www 2>err && grep "SHA-256" err && grep hint: err && test_flip "$b" 1 &&
	echo longer >>"$b" && test_status 3 as hq repo export www 2>err && grep "length" err &&
	rm "$b" && test_status 3 as hq repo export www 2>err && grep "is missing" err &&
	ln -s /etc/hostname "$b" && test_status 1 as hq repo export www && rm "$b" &&
	mkfifo "$b" && test_status 3 as hq repo export www && rm "$b" &&
	test "$(version www/metadata)" = "$before" && test -z "$(find www -name "*.tmp.*")" &&
	as hq sign app-5 --namespace plant --name app --version 5 && as hq repo export www && client c --target-name plant/app/5 download
'

test_expect 'a publisher who let his file expire does not stop the others' '
	rm -rf short && site_up short --publisher-life 2s --publisher "others:other/*/*" && sleep 2.1 &&
	as short repo export short.www 2>err && grep "warning: .*releases.*expired" err && grep "warning: .*others.*expired" err &&
	as short repo export short.www --json 2>err >out.json && test_json ".faults == 2 and .written == 0" out.json &&
	jq -e .warning err >/dev/null
'

test_expect 'another directory than ours is left alone' '
	mkdir theirs && echo precious >theirs/file && test_status 3 as hq repo export theirs 2>err && grep "not empty" err &&
	test "$(ls -A theirs)" = file && : >theirs/.meshanics-export && test_status 3 as hq repo export theirs && rm theirs/.meshanics-export &&
	test_status 3 as hq repo export hq/repo 2>err && grep "in the repository itself" err &&
	test_status 3 as hq repo export hq/repo/targets/export && test ! -e hq/repo/targets/export &&
	ln -s hq/repo link && test_status 3 as hq repo export link/there/and/back && test ! -e hq/repo/there &&
	test_status 2 as hq repo export nowhere/../hq/repo/x && test ! -e nowhere && test_status 2 as hq repo export "" &&
	as hq repo export "deep/er/name.." && test -e deep/er/name../metadata/timestamp.json && test -d deep/er/name../targets &&
	test_status 3 as hq repo export hq && test_status 1 as hq repo export theirs/file && test_status 2 as hq repo export &&
	mkdir outside half && : >half/.meshanics-export && ln -s ../outside half/targets && test_status 3 as hq repo export half &&
	rm half/targets && as hq repo export half && rm -rf half/targets && ln -s ../outside half/targets &&
	test_status 1 as hq repo export half 2>err && grep "symbolic link" err && test -z "$(ls outside)"
'

test_expect 'a tree of another repository, or a newer one, is left alone' '
	site_up other --site other && test_status 3 as other repo export www 2>err && grep "site" err && cat err &&
	site_up twin && test_status 3 as twin repo export www 2>err && grep "another chain" err &&
	rm www/.meshanics-export && test_status 3 as twin repo export www 2>err && grep "another chain" err && as hq repo export www &&
	rm -rf bare && mkdir bare && cp www/.meshanics-export bare/ && test_status 3 as other repo export bare 2>err && grep "of site main" err &&
	as hq repo refresh --force >/dev/null && as hq repo export www && before=$(version www/metadata) &&
	test_status 3 as hq.saved repo export www 2>err && grep "newer state" err && test "$(version www/metadata)" = "$before" &&
	cp www/metadata/1.root.json www/metadata/2.root.json && test_status 3 as hq repo export www 2>err && grep "2.root.json" err &&
	rm www/metadata/2.root.json && as hq repo export www
'

test_expect 'two at a time: the second is told to try again' '
	perl -e "use Fcntl; open(my \$f, q(+>>), q(www/.meshanics-export)) or die; my \$l = pack(q(s s x4 q q i), F_WRLCK, 0, 0, 0, 0); fcntl(\$f, 37, \$l) or die; open(my \$g, q(>), q(locked)); sleep 5" &
	pid=$!
	test_wait 5 test -e locked && test_status 4 as hq repo export www 2>err
	r=$?
	kill $pid
	wait $pid
	cat err && grep "another export" err && test $r = 0 && as hq repo export www
'

test_expect 'the repository may change meanwhile: whole states only' '
	rm -rf busy
	{ i=0; while [ $i -lt 25 ]; do put "b$i" "busy $i" || exit 1; i=$((i + 1)); done; } &
	pid=$! n=0
	while kill -0 $pid 2>/dev/null; do
		as hq repo export busy >out 2>err
		r=$?
		[ $r -eq 0 ] || { [ $r -eq 4 ] && grep "half way\|faster" err; } || return 1
		rm -rf check && mkdir check check/repo && [ ! -e busy/metadata ] || cp -a busy/metadata busy/targets check/repo/ || return 1
		[ ! -e busy/metadata/timestamp.json ] || as check repo verify || return 1
		n=$((n + 1))
	done
	wait $pid && echo "$n exports" && test $n -gt 2 && as hq repo export busy && cmp busy/metadata/timestamp.json hq/repo/metadata/timestamp.json
'

test_expect 'it works while serve runs, and needs no right to the keys' '
	as hq ca init >/dev/null && test_start serve meshanics serve --home hq --public-name 127.0.0.1 --ready-file ready \
		--api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0 &&
	test_wait 30 test -s ready && as hq repo export www && put s serving && as hq repo export www &&
	client c --target-name plant/app/s download && test_stop serve
'

# ---- whatever becomes of an export, clients find the old state or the new one ----

meshanics version --json >facts
grep -q '"test_build":true' facts || {
	test_skip 'stopped at every call' 'not a test build'
	test_done
}

test_expect 'an old and a new state' '
	rm -rf hq www && site_up hq2 && mv hq2 hq && cp hq2.out/root.json hq.out/root.json && put 1 one && as hq repo export www && cp -a www old &&
	fresh kept && client kept --target-name plant/app/1 download && was=$(version www/metadata) &&
	put 2 two && as hq artifact withdraw plant/app/1 && is=$(version hq/repo/metadata) && test "$was" != "$is"
'

has_old=plant/app/1 has_new=plant/app/2

# sound NAME [EMPTY]: a client sees one whole state; with EMPTY it may also see that there is none yet.
sound() {
	client "$1" refresh >client.out 2>&1 || {
		[ -n "${2-}" ] && [ ! -e www/metadata/timestamp.json ]
		return
	}
	case $(version "$1") in
	"$was") [ -z "${2-}" ] && old=$((old + 1)) && client "$1" --target-name $has_old download ;;
	"$is") new=$((new + 1)) && client "$1" --target-name $has_new download ;;
	*) return 1 ;;
	esac
}

# walk MODE START [EMPTY]: export over a copy of START with the 1st, 2nd, 3rd... call gone wrong. A way of copying that
# fails is replaced by another, so one success is not the end yet.
walk() {
	n=0 old=0 new=0 calm=0
	while [ $calm -lt 3 ]; do
		n=$((n + 1))
		[ $n -lt 200 ] || return 1
		rm -rf www c c.t && cp -a "$2" www && cp -a kept c && cp -a kept.t c.t || return 1
		[ -z "${3-}" ] || fresh c || return 1
		MESHANICS_FAULT=$n:$1 as hq repo export www --prune >out 2>err
		status=$?
		calm=$((status == 0 ? calm + 1 : 0))
		echo "call $n ($1): exit $status: $(cat err)"
		sound c "${3-}" || return 1
		as hq repo export www --prune || return 1
		[ -z "$(find www -name '*.tmp.*')" ] && sound c && [ "$(version c)" = "$is" ] || return 1
	done
	echo "$n calls, $old old, $new new" && [ $n -gt 15 ] && [ $new -gt $n ] && { [ -n "${3-}" ] || [ $old -gt 5 ]; }
}

for mode in cut error full torn; do
	test_expect "stopped at every call: $mode" 'walk '$mode' old'
done
test_expect 'the first export, cut at every call' '
	mkdir nothing && walk cut nothing empty
'

test_expect 'new online keys, cut at every call' '
	rm -rf old && cp -a www old && fresh kept && client kept --target-name plant/app/2 download && was=$(version www/metadata) &&
	as hq repo keys rotate -o next.json && as alice ceremony rotate --root hq.out/root.json --online-keys next.json -o next.request &&
	f=$(fingerprint next.request) && mkdir next && for who in alice carol; do
		as $who ceremony sign next.request --key $who --fingerprint "$f" -o next/answer-$who.json || return 1
	done &&
	as alice ceremony finish next.request next -o next && as hq repo adopt next/root.json && put 3 three &&
	is=$(version hq/repo/metadata) && has_old=plant/app/2 has_new=plant/app/3 && walk cut old && test -e www/metadata/2.root.json
'

test_done

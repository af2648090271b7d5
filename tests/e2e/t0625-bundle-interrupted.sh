#!/bin/sh
# `bundle import` that is killed, runs into a full disk, loses its stick, or goes on beside a running serve: the old state or
# the new one, and the same command goes on.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq perl tar
test_need_root

# put VERSION FILE: publish plant/app/VERSION at headquarters.
put() {
	as hq sign "$2" --namespace plant --name app --version "$1" >/dev/null
}

# What clients of the depot see in the end, in one line.
all=

# published HOME: what its clients see, in one line.
published() {
	as "$1" artifact list --json | jq -r "[.artifacts[].artifact] | sort | join(\" \")"
}

# fresh: the depot as it was before any bundle.
fresh() {
	rm -rf depot-7 && cp -a depot.new depot-7
}

# old_or_new: it verifies, and shows nothing of the bundle or all of it.
old_or_new() {
	as depot-7 repo verify >verified 2>&1 || { cat verified && return 1; }
	case $(published depot-7) in
	'' | "$all") ;;
	*) published depot-7 && return 1 ;;
	esac
}

# goes_on: the same command brings all of it.
goes_on() {
	as depot-7 bundle import one.bundle >out 2>&1 || { cat out && return 1; }
	test "$(published depot-7)" = "$all" && as depot-7 repo verify >/dev/null && test -z "$(ls -A depot-7/repo/staging)" &&
		test "$(ls -A depot-7/repo/import)" = lock && test -z "$(ls -A depot-7/repo/pending 2>/dev/null)"
}

test_expect 'headquarters with artifacts, small and large, and a depot' '
	i=0 && site_up hq && site_depot depot-7 && as hq repo adopt depot-7.out/root.json &&
	as depot-7 repo adopt depot-7.out/root.json hq.out/targets.json && cp -a depot-7 depot.new &&
	for size in 10 3000 700000 6000000 20 9000000; do
		i=$((i + 1)) && head -c $size /dev/urandom >"app-$i" && put $i "app-$i" || return 1
	done && as hq bundle export --site depot-7 -o one.bundle && all=$(published hq)
'

# The builds for tests can make the n-th change to the disk go wrong.
at_call() {
	MESHANICS_FAULT=$1 as depot-7 bundle import one.bundle >out 2>&1
	at_r=$?
	test $at_r -le 4 || test $at_r = 99
}

if MESHANICS_FAULT=1:error meshanics --home "$TEST_DIR/none" key generate x --unsealed >/dev/null 2>&1; then
	test_skip 'interrupted at calls' 'not a build with faults'
else
	for mode in cut cutzero cutdir error full rofs; do
		test_expect "interrupted by $mode at calls from the first to the last" '
			n=1 && while test $n -lt 90; do
				fresh && at_call "$n:$mode" || { echo "call $n: status $at_r" && cat out && return 1; }
				{ old_or_new && goes_on; } || { echo "call $n" && return 1; }
				test $at_r != 0 || break
				n=$((n + 7))
			done && echo "up to call $n"
		'
	done
fi

test_expect 'killed at any moment, it goes on' '
	fresh && for pause in 0.01 0.02 0.03 0.05 0.08 0.13 0.2 0.3; do
		(as depot-7 bundle import one.bundle >/dev/null 2>&1 & echo $! >pid; wait) & job=$!
		sleep $pause; kill -KILL "$(cat pid)" 2>/dev/null; wait $job
		old_or_new || return 1
	done && goes_on
'

test_expect 'what was read before the stick was pulled is not written again' '
	fresh && size=$(stat -c %s one.bundle) && (head -c $((size / 2)) one.bundle) |
		test_status 4 as depot-7 bundle import - 2>err && cat err && grep "cut short" err && old_or_new &&
	ls -la depot-7/repo/staging && touch -d @1000000000 depot-7/repo/staging/* && as depot-7 bundle import one.bundle >out &&
	cat out && test "$(find depot-7/repo/targets -type f ! -newermt 2002-01-01 | wc -l)" -gt 0 && as depot-7 repo verify &&
	test "$(published depot-7)" = "$all"
'

test_expect 'a part with other bytes is not believed' '
	fresh && cat app-6 | sed "s/^/x/" | head -c 5000000 >"depot-7/repo/staging/$(sha256sum <app-6 | cut -d " " -f 1).part" &&
	head -c 400000 app-3 >"depot-7/repo/staging/$(sha256sum <app-3 | cut -d " " -f 1).part" &&
	{ cat app-4 && echo more; } >"depot-7/repo/staging/$(sha256sum <app-4 | cut -d " " -f 1).part" && goes_on
'

test_expect 'a full disk: said before the first byte, and with room it goes on' '
	test_disk small 90m && cp -a depot.new small/depot-7 && head -c 15m /dev/zero >small/filler &&
	ln -sfn small/depot-7 depot-s && test_status 4 meshanics --home "$TEST_DIR/small/depot-7" bundle import one.bundle 2>err &&
	cat err && grep "needs [0-9]* bytes in .repo. and [0-9]* that stay free" err &&
	test -z "$(ls -A small/depot-7/repo/staging)" && rm small/filler &&
	meshanics --home "$TEST_DIR/small/depot-7" bundle import one.bundle >out && cat out &&
	meshanics --home "$TEST_DIR/small/depot-7" repo verify && umount small
'

test_expect 'a running serve takes it through its socket, and shows the new state at once' '
	fresh && as depot-7 ca init >/dev/null && test_start serve meshanics --home "$TEST_DIR/depot-7" serve --public-name 127.0.0.1 \
		--ready-file "$TEST_DIR/ready" --api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 \
		--device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0 &&
	test_wait 30 test -s ready && as depot-7 bundle import --receipt r1 one.bundle >out && cat out && grep "^in force" out &&
	test "$(published depot-7)" = "$all" && as depot-7 bundle import one.bundle >out && grep "already here" out &&
	tar -tf r1 >/dev/null && as hq bundle receipt r1 && as depot-7 repo refresh --force &&
	put 7 app-1 && as hq bundle export --site depot-7 --since r1 -o two.bundle && as depot-7 bundle import two.bundle >out &&
	cat out && test "$(published depot-7)" = "$(published hq)" &&
	as depot-7 audit list --action bundle.import --json | jq -e ".records | length == 3" && as depot-7 repo verify
'

test_expect 'of two imports at once one is told to wait' '
	as hq bundle export --site depot-7 -o three.bundle && mkfifo pipe &&
	{ as depot-7 bundle import - <pipe >first 2>&1 & echo $! >pid; } && exec 7>pipe && head -c 3000000 three.bundle >&7 &&
	test_wait 10 test -d "depot-7/repo/import/$(tar -xOf three.bundle bundle.json | sha256sum | cut -d " " -f 1)" &&
	test_status 4 as depot-7 bundle import two.bundle 2>err && cat err && grep "another import .* is under way" err &&
	exec 7>&- && ! wait "$(cat pid)" && cat first && as depot-7 bundle import three.bundle
'

test_expect 'serve ends well' '
	test_stop serve && as depot-7 repo verify
'

test_expect 'run by root for the user whom the home belongs to, from and to where only root may read and write' '
	user=$(id -un 65534) && fresh && chown -R "$user" depot-7 && chmod 755 . depot-7 && mkdir -m 700 stick && cp one.bundle stick &&
	as depot-7 bundle import --receipt stick/r stick/one.bundle >out && cat out && test -s stick/r &&
	test -z "$(find depot-7/repo depot-7/control ! -user "$user")" && test "$(stat -c %U stick/r)" = root
'
test_done

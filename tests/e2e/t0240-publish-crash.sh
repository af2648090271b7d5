#!/bin/sh
# kill -9 in the middle of publishing: the old state or the new one, and the next command goes on from there.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq

test_expect 'a site in force with one artifact' '
	site_up hq && head -c 20000000 /dev/urandom >blob &&
	as hq sign blob --namespace plant --name app --version 0 && cp -a hq image
'

# The kills spread over the time that the command takes, so every stage of it is hit by some of them. How long it takes
# changes with what else the machine does, so that is learned again from each kill: one that came too late says that
# it takes less, one that came at the end and yet in time that it takes more.
killed_late() { late=$((late + 1)) took=$((took * 9 / 10)); }
killed_in_time() { in_time=$((in_time + 1)) && if [ "$1" -gt 20 ]; then took=$((took * 5 / 4)); fi; }
test_expect 'killed at any moment, the repository is whole' '
	start=$(date +%s%N) && as hq sign blob --namespace plant --name time --version 1 >out && took=$((($(date +%s%N) - start) / 1000000)) &&
	echo "one sign takes $took ms" && in_time=0 late=0 n=1 &&
	while [ $n -le 25 ]; do
		rm -rf hq blob.sig && cp -a image hq || return 1
		meshanics --home "$TEST_DIR/hq" sign blob --namespace plant --name app --version 1 >/dev/null 2>&1 &
		pid=$!
		sleep "$(printf "%d.%03d" $((took * n / 22 / 1000)) $((took * n / 22 % 1000)))"
		kill -9 $pid 2>/dev/null
		wait $pid 2>/dev/null
		as hq repo verify >/dev/null || return 1
		as hq repo refresh --force >/dev/null || return 1
		as hq repo verify >/dev/null || return 1
		if as hq artifact show plant/app/1 >/dev/null 2>&1; then killed_late; else killed_in_time "$n"; fi
		test -z "$(ls hq/repo/staging | grep "^new-")" || return 1
		test ! -e hq/repo/commit || return 1
		n=$((n + 1))
	done && echo "in time $in_time late $late" && test $in_time -gt 3 && test $late -gt 0
'

test_expect 'the command that was killed is simply repeated' '
	as hq sign blob --namespace plant --name app --version 1 && as hq verify blob && as hq repo verify
'

test_expect 'a site with hash bins' '
	rm -rf hq image hq.* && site_up hq --bins 256 && echo one >one && as hq sign one --namespace plant --name app --version 0 &&
	cp -a hq image
'

# All bins in one change: it is there as a whole, or not at all.
test_expect 'killed while every bin is signed anew, the repository is whole' '
	newest() { find hq/repo/metadata -name "*.$1.json" | sort | tail -n 1; }
	start=$(date +%s%N) && as hq repo refresh --force >out && took=$((($(date +%s%N) - start) / 1000000)) &&
	echo "signing all takes $took ms" && in_time=0 late=0 n=1 &&
	while [ $n -le 25 ]; do
		rm -rf hq && cp -a image hq || return 1
		cp "$(newest snapshot)" before
		meshanics --home "$TEST_DIR/hq" repo refresh --force >/dev/null 2>&1 &
		pid=$!
		sleep "$(printf "%d.%03d" $((took * n / 22 / 1000)) $((took * n / 22 % 1000)))"
		kill -9 $pid 2>/dev/null
		wait $pid 2>/dev/null
		as hq repo status >/dev/null || return 1
		as hq artifact show plant/app/0 >/dev/null || return 1
		as hq repo verify >/dev/null || return 1
		test ! -e hq/repo/commit || return 1
		jq --slurpfile was before ".signed.meta | to_entries | map(select(.key | startswith(\"releases-bin-\")) |
			.value.version > \$was[0].signed.meta[.key].version) | unique" "$(newest snapshot)" >seen
		test_json "length == 1" seen || return 1
		if test_json "first" seen >/dev/null 2>&1; then killed_late; else killed_in_time "$n"; fi
		n=$((n + 1))
	done && echo "in time $in_time late $late" && test $in_time -gt 3 && test $late -gt 0
'

test_done

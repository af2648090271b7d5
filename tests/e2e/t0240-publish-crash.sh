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

# The kills spread over the time that one sign takes, so every stage of it is hit by some of them.
test_expect 'killed at any moment, the repository is whole' '
	start=$(date +%s%N) && as hq sign blob --namespace plant --name time --version 1 >out && took=$((($(date +%s%N) - start) / 1000000)) &&
	echo "one sign takes $took ms" && old=0 new=0 n=1 &&
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
		if as hq artifact show plant/app/1 >/dev/null 2>&1; then new=$((new + 1)); else old=$((old + 1)); fi
		test -z "$(ls hq/repo/staging | grep "^new-")" || return 1
		test ! -e hq/repo/commit || return 1
		n=$((n + 1))
	done && echo "old $old new $new" && test $old -gt 3 && test $new -gt 0
'

test_expect 'the command that was killed is simply repeated' '
	as hq sign blob --namespace plant --name app --version 1 && as hq verify blob && as hq repo verify
'

test_done

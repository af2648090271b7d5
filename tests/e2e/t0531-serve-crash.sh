#!/bin/sh
# kill -9 of serve at random moments, while a device updates over a slow way, an operator changes things and a publisher
# publishes: serve starts again on what it finds, and nothing that was answered is lost.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq sqlite3
soak_rounds=''	# set by what is read here
killed=0
. "$TEST_SRC/tests/e2e/soak.sh"

books() { sqlite3 -readonly hq/control/meshanics.db "$1"; }
ours() { meshanics "$@" --server "https://127.0.0.1:$FLEET_API" --token-file boss.token; }
rollout_state() { books "SELECT state FROM rollouts WHERE artifact = 'plant/plc/$1' ORDER BY id DESC LIMIT 1"; }
over() { [ "$trying" = none ] || [ "$(rollout_state "$trying")" = completed ]; }

# Serve, again and again: a publisher who finds none running does serve's work himself, under its lock.
up() {
	up_tries=0
	while [ $up_tries -lt 200 ]; do
		up_tries=$((up_tries + 1))
		rm -f ready
		test_start serve meshanics serve --home hq --public-name 127.0.0.1 --heartbeat 1s --ready-file ready \
			--api-listen "127.0.0.1:$FLEET_API" --repository-listen "127.0.0.1:$FLEET_REPO" \
			--device-listen "127.0.0.1:$FLEET_DEVICE" --enroll-listen "127.0.0.1:$FLEET_ENROLL"
		pid=$(cat serve.pid)
		while ! [ -s ready ] && grep -q "^State:.[^Z]" "/proc/$pid/status" 2>/dev/null; do
			sleep 0.05
		done
		[ ! -s ready ] || return 0
		wait "$pid"
		up_status=$?
		test_forget "$pid"
		[ $up_status -eq 4 ] && grep -q "lock.* is held by another process" serve.log || return 1
		sleep 0.1
	done
	return 1
}

# Each writes down what was answered, and nothing else.
cat >tagger <<-'END'
	n=0
	while :; do
		n=$((n + 1))
		meshanics device tag press-0001 --add n$n --remove n$((n - 1)) --server "$1" --token-file boss.token &&
			echo n$n >>tagged
		sleep 0.2
	done
END
cat >publisher <<-'END'
	n=0
	while :; do
		n=$((n + 1))
		head -c 200000 /dev/urandom >plc-$n
		meshanics sign plc-$n --home hq --namespace plant --name plc --version $n && echo $n >>published
		sleep 0.6
	done
END

# Everything in sorted $1 is a line of standard input.
none_lost() {
	sort >have && comm -13 have "$1" >lost && ! grep . lost
}
# First what was answered by now, then what there is.
nothing_is_lost() {
	sort tagged >tagged.now && sort published >published.now || return 1
	books "SELECT json_extract(detail, '\$.add[0]') FROM audit WHERE action = 'device.tag' AND verdict = 'ok'" |
		none_lost tagged.now &&
		ours artifact list --json >artifacts && jq -r '.artifacts[].artifact | ltrimstr("plant/plc/")' artifacts |
		none_lost published.now
}
path_is_whole() {
	books "SELECT group_concat(state) FROM (SELECT state FROM transitions WHERE artifact = 'plant/plc/$trying' ORDER BY seq)" |
		tee path | grep -Ex "downloading(,downloading|,verifying)*,applying,probing,healthy"
}
# The newest that is published goes out when the one before has arrived.
roll() {
	over || return 0
	[ "$trying" = none ] || path_is_whole || return 1
	[ "$trying" = none ] || updates=$((updates + 1))
	newest=$(tail -n 1 published)
	[ "$newest" != "$trying" ] || return 0
	ours rollout create "plant/plc/$newest" --all --waves 100 || [ -n "$(rollout_state "$newest")" ] || return 0
	trying=$newest
}
round() {
	roll || return 1
	sleep "$1"
	test_crash serve && up && nothing_is_lost || return 1
	[ $((killed % 10)) -ne 0 ] || meshanics repo verify --home hq
}

updates=0 trying=none
test_expect 'a site, a device at the end of a slow way, a busy operator and a busy publisher' '
	fleet_site && fleet_serve && fleet_enroll 1 && meshanics operator add boss --role admin --home hq --out boss.token &&
	echo 400000 >rate && test_start slow "$TEST_SRC/tests/e2e/slow.pl" "$FLEET_REPO" rate port && test_wait 10 test -s port &&
	sed -i "s|:$FLEET_REPO|:$(cat port)|" dev1/agent/identity.json && : >tagged && : >published &&
	test_start agent1 meshanics agent run --home dev1 && test_start tagger sh ./tagger "https://127.0.0.1:$FLEET_API" &&
	test_start publisher sh ./publisher && test_wait 60 test -s published && test_wait 60 test -s tagged
'
test_expect "kill -9 of serve, $soak_rounds times: it is back each time, and nothing that was answered is lost" '
	soak_plan 1.2 serve >plan && killed=0 &&
	while read -r pause kind <&4; do
		round "$pause" || { soak_say "round $killed: $pause, version $trying"; return 1; }
		killed=$((killed + 1))
	done 4<plan && test $killed -eq "$soak_rounds"
'
test_expect 'the last update ends as well, once' '
	roll && test_wait 60 over && path_is_whole &&
	soak_say "$killed kills, $((updates + 1)) updates, $(wc -l <published) versions and $(wc -l <tagged) changes answered"
'
test_expect 'the trail is whole, the repository is good, and nothing is left over' '
	test_stop tagger KILL || test $test_r -eq 137; test_stop publisher KILL || test $test_r -eq 137;
	meshanics repo refresh --force --home hq && meshanics audit verify --home hq && meshanics repo verify --home hq &&
	test -z "$(find hq -name "*.tmp.*" -o -path "*/staging/new-*" -o -path "*/pending/*")" && test ! -e hq/repo/commit
'
test_expect 'all of it ends cleanly' 'test_stop agent1 && test_stop serve'
test_done

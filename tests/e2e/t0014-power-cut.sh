#!/bin/sh
# A power cut, an I/O error or a full disk at every single change to the file system: the old state or the new one.
. "$(dirname "$0")/lib.sh"

meshanics version --json >facts
grep -q '"test_build":true' facts || {
	test_skip 'power cuts at every call' 'not a test build'
	test_done
}

# walk MODE CHECK CMD...: CMD with the 1st, 2nd, 3rd ... call gone wrong, CHECK after each, until it succeeds.
walk() {
	mode=$1 check=$2 n=0
	shift 2
	while :; do
		n=$((n + 1))
		[ $n -lt 1000 ] || return 1	# SQLite's calls count, too: some 180 for ca init
		MESHANICS_FAULT=$n:$mode "$@" >out 2>err
		status=$?
		echo "call $n ($mode): exit $status"
		$check || return 1
		[ $status -ne 0 ] || break
	done
	[ $n -gt 3 ]	# it did reach the disk
}

# The key is there, whole, with both its files; or a new attempt makes it so.
key_is_whole_or_absent() {
	[ "$status" -ne 99 ] || [ ! -s err ] || return 1
	meshanics key list --home h || return 1
	if [ "$status" -eq 0 ]; then
		meshanics key show k --home h || return 1
	elif [ -e h/keys/k.key ]; then
		meshanics key show k --home h || return 1
		rm -f h/keys/k.key h/keys/k.pub
	else
		rm -f h/keys/k.pub
	fi
}

for mode in cut cutdir error full torn; do
	test_expect "key generate, $mode" '
		rm -rf h && mkdir h &&
		walk $mode key_is_whole_or_absent meshanics key generate k --unsealed --home h
	'
done

# Said again, the verb completes what was begun, or says that it is there already.
again_completes() {
	[ "$status" -eq 0 ] || [ "$status" -eq 1 ] || [ "$status" -eq 99 ] || return 1
	"$@" 2>again || grep already again || return 1
}
ca_again() {
	again_completes meshanics ca init --home h && meshanics ca show --home h && rm -rf h
}
repo_again() {
	again_completes meshanics repo init --home h --output keys.json && [ -s h/repo/online-keys.json ] &&
		meshanics doctor --home h --quiet && rm -rf h
}

for mode in cut error; do
	test_expect "ca init, $mode" '
		rm -rf h && walk $mode ca_again meshanics ca init --home h
	'
done

# Hundreds of calls, each with three commands: the strictest cut when there is time (lib/sys/fault.h).
if [ -n "${WALK_ALL:-${SOAK_ROUNDS:-}}" ]; then
	test_expect 'ca init, cutdir' '
		rm -rf h && walk cutdir ca_again meshanics ca init --home h
	'
fi

test_expect 'repo init, cut' '
	rm -rf h && walk cut repo_again meshanics repo init --home h --output keys.json
'

test_done

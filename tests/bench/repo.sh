#!/bin/sh
# A repository with hash bins: built and signed at once, opened, and one artifact more.
#
#	make all build/tests/bench/repo && tests/bench/repo.sh [TARGETS BINS]...	TMPDIR chooses the file system
#
# 100,000 targets in 1,024 bins and 1,000,000 in 16,384 when nothing is given. On a file system in memory (TMPDIR=/dev/shm)
# the figures are those of the program; elsewhere the disk's are in them. Then the verbs that look at all bins.

top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
bench=${BENCH:-$top/build/tests/bench/repo}
meshanics=${MESHANICS:-$top/build/meshanics}
for tool in "$bench" "$meshanics" /usr/bin/time; do
	[ -x "$tool" ] || {
		echo "no $tool: run 'make all build/tests/bench/repo' and 'apt-get install time jq' first" >&2
		exit 1
	}
done
PATH=$(dirname "$meshanics"):$PATH
TEST_DIR=$(mktemp -d) || exit 1
trap 'cd / && rm -rf "$TEST_DIR"' EXIT
trap 'exit 1' HUP INT TERM
HOME=$TEST_DIR
export HOME PATH TEST_DIR
cd "$TEST_DIR" || exit 1
# shellcheck source=tests/e2e/site.sh
. "$top/tests/e2e/site.sh"

# timed NAME VERB...: elapsed and processor time, and the peak of memory, of one run of the program.
timed() {
	timed_n=$1
	shift
	/usr/bin/time -q -o time -f '%e s, %U + %S s of processor, peak %M KiB' "$meshanics" --home "$TEST_DIR/hq" "$@" >out 2>&1 || {
		cat out
		exit 1
	}
	echo "$timed_n: $(cat time)"
}

run() {
	rm -rf hq hq.out hq.*.json
	site_up hq --bins "$2" >log 2>&1 || {
		cat log >&2
		exit 1
	}
	"$bench" "$TEST_DIR/hq" "$1" || exit 1
	timed 'repo status' repo status
	echo one >one
	timed sign sign one --namespace plant --name one --version 1
	timed 'repo refresh --force' repo refresh --force
}

[ $# -gt 0 ] || set -- 100000 1024 1000000 16384
while [ $# -ge 2 ]; do
	run "$1" "$2"
	shift 2
done

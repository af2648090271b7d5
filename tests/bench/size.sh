#!/bin/sh
# What the binary weighs, and how fast it starts.
#
#	make all static && tests/bench/size.sh [STARTS]
#
# Sizes of both binaries after strip, in bytes and MiB; then the elapsed time of one start of `meshanics version`, from
# five series of STARTS, the fastest and the median series, beside `true` of the system: the cost of a process.

starts=${1:-100}
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

for name in meshanics meshanics-static; do
	[ -x "$top/build/$name" ] || {
		echo "no $top/build/$name: run 'make all static' first" >&2
		exit 1
	}
	strip -o "$dir/$name" "$top/build/$name" || exit 1
	stat -c %s "$dir/$name" | awk -v name=$name '{ printf "%s: %d bytes stripped, %.2f MiB\n", name, $1, $1 / 1048576 }'
done

series() {
	t0=$(date +%s%N)
	i=0
	while [ $i -lt "$starts" ]; do
		"$@" >/dev/null || exit 1
		i=$((i + 1))
	done
	t1=$(date +%s%N)
	echo "$t0 $t1 $starts" | awk '{ printf "%.3f\n", ($2 - $1) / $3 / 1e6 }'
}

# start NAME COMMAND...
start() {
	name=$1
	shift
	for _ in 1 2 3 4 5; do
		series "$@"
	done | sort -n | awk -v name="$name" '{ v[NR] = $1 } END { printf "%s: %.2f ms at best, median %.2f ms\n", name, v[1], v[3] }'
}

start /bin/true /bin/true
for name in meshanics meshanics-static; do
	start "$name version" "$dir/$name" version
done

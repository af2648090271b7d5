#!/bin/sh
# SHA-256 of a large file: ours against `openssl dgst -sha256`, in turns, so that both meet the same machine.
#
#	make build/tests/bench/sha256 && tests/bench/hash.sh [BYTES [ROUNDS]]
#
# Prints medians of elapsed and of processor time (user and system), and the median of the ratios of neighbouring
# runs: ours over theirs, below 1 is faster. The file is read once before, so that both read it from memory.
# On a machine with other work, the ratio of processor time is the one to trust. Then the same for the portable code.

bytes=${1:-1073741824} rounds=${2:-9}
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
ours=${SHA256:-$top/build/tests/bench/sha256}
[ -x "$ours" ] || {
	echo "no $ours: run 'make build/tests/bench/sha256' first" >&2
	exit 1
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c "$bytes" >"$dir/file"

# Elapsed seconds and processor seconds of a command.
seconds() {
	t0=$(date +%s%N)
	cpu=$("$@" >/dev/null && times) || exit 1	# of the subshell, then of its children
	t1=$(date +%s%N)
	echo "$t0 $t1 $cpu" | tr 'ms\n' '   ' |
		awk '{ printf "%.4f %.4f\n", ($2 - $1) / 1e9, $7 * 60 + $8 + $9 * 60 + $10 }'
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { printf "%.3f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# report WORD OURS THEIRS: columns of pairs.
report() {
	awk -v a="$2" '{ print $a }' "$dir/pairs" | median >"$dir/a"
	awk -v b="$3" '{ print $b }' "$dir/pairs" | median >"$dir/b"
	awk -v a="$2" -v b="$3" '{ print $a / $b }' "$dir/pairs" | median >"$dir/ratio"
	echo "  $1 $(cat "$dir/a") s, openssl $(cat "$dir/b") s, ratio $(cat "$dir/ratio")"
}

# compare NAME COMMAND...
compare() {
	name=$1
	shift
	: >"$dir/pairs"
	i=0
	while [ $i -lt "$rounds" ]; do
		echo "$(seconds "$@") $(seconds openssl dgst -sha256 "$dir/file")" >>"$dir/pairs"
		i=$((i + 1))
	done
	echo "$name against openssl, $rounds pairs of $bytes bytes"
	report elapsed 1 3
	report processor 2 4
}

answer=$("$ours" "$dir/file") || exit 1
hash=${answer% *} code=${answer#* }
[ "$hash" = "$(openssl dgst -sha256 -r "$dir/file" | cut -d' ' -f1)" ] || {
	echo "the hashes differ" >&2
	exit 1
}
compare "$code" "$ours" "$dir/file"
[ "$code" = portable ] || compare portable "$ours" "$dir/file" portable

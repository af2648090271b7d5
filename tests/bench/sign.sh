#!/bin/sh
# `meshanics sign` of a large file against `openssl dgst -sha256` on the same file, in turns.
#
#	make && tests/bench/sign.sh [BYTES [ROUNDS]]		TMPDIR chooses the file system
#
# sign copies the file into the repository, hashes the copy, syncs it and publishes. It says itself how long the three
# took (--json), so that elapsed time beyond the copy is what is left without copy and sync. Processor time beyond the
# copy is what is left without that of `cp` and `sync` of the same file, run in the same turn. The kernel copies: user
# time is the hash and whatever else sign does itself. Prints medians, the medians of the ratios within a turn (below
# 1 is faster than openssl), and the peak of memory of a small and of the large file. The file is read once before, so
# that all read it from memory.

bytes=${1:-1073741824} rounds=${2:-5} little=67108864
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
meshanics=${MESHANICS:-$top/build/meshanics}
for tool in "$meshanics" /usr/bin/time; do
	[ -x "$tool" ] || {
		echo "no $tool: run 'make' and 'apt-get install time jq openssl' first" >&2
		exit 1
	}
done
PATH=$(dirname "$meshanics"):$PATH
dir=$(mktemp -d) || exit 1
trap 'cd / && rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
HOME=$dir TEST_DIR=$dir
export HOME PATH TEST_DIR
cd "$dir" || exit 1
# shellcheck source=tests/e2e/fleet.sh
. "$top/tests/e2e/fleet.sh"
fleet_site main >site.log 2>&1 || {
	cat site.log >&2
	exit 1
}
mv hq site
openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c "$bytes" >large
head -c "$little" large >small

# measured NAME COMMAND...: the command, with "elapsed processor KiB user" in NAME.cost.
measured() {
	name=$1
	shift
	/usr/bin/time -q -o "$name.time" -f '%e %U %S %M' "$@" >"$name.out" || {
		cat "$name.out" >&2
		exit 1
	}
	awk '{ print $1, $2 + $3, $4, $2 }' "$name.time" >"$name.cost"
}

# sign FILE: into a repository that has nothing yet; its cost in sign.cost, its answer in sign.out.
sign() {
	rm -rf hq && cp -a site hq || exit 1
	measured sign meshanics sign "$1" --home hq --namespace plant --name big --version 1 --kind file \
		--signature large.sig --json
}

# column EXPRESSION: the median of an awk expression over all turns.
column() {
	awk "{ print $1 }" turns | sort -n |
		awk '{ v[NR] = $1 } END { printf "%.2f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# A turn: sign's elapsed, processor, KiB, user; copy, hash, sync in seconds; cp's processor; openssl's elapsed,
# processor, user.
: >turns
i=0
while [ $i -lt "$rounds" ]; do
	measured theirs openssl dgst -sha256 -r large
	sign large
	[ "$(jq -r .sha256 sign.out)" = "$(cut -d ' ' -f 1 theirs.out)" ] || {
		echo "the hashes differ" >&2
		exit 1
	}
	how=$(jq -r .copied_by sign.out)
	rm -rf hq
	measured cp sh -c 'cp --reflink=auto large copy && sync copy'
	rm copy
	echo "$(cat sign.cost)" "$(jq -r '[.copy_ms, .hash_ms, .sync_ms] | map(. / 1000 | tostring) | join(" ")' sign.out)" \
		"$(cut -d ' ' -f 2 cp.cost)" "$(cut -d ' ' -f 1,2,4 theirs.cost)" >>turns
	i=$((i + 1))
done
sign small
kib=$(cut -d ' ' -f 3 sign.cost)

echo "sign of $bytes bytes, $rounds turns, on $(stat -f -c %T .), copied by $how"
echo "  elapsed $(column '$1') s: copy $(column '$5') s, hash $(column '$6') s, sync $(column '$7') s," \
	"the rest $(column '$1 - $5 - $6 - $7') s"
echo "  beyond copy and sync $(column '$1 - $5 - $7') s, openssl $(column '$9') s, ratio $(column '($1 - $5 - $7) / $9')"
echo "  processor $(column '$2') s, of which the copy $(column '$8') s"
echo "  beyond the copy $(column '$2 - $8') s, openssl $(column '$10') s, ratio $(column '($2 - $8) / $10')"
echo "  user time $(column '$4') s, openssl $(column '$11') s, ratio $(column '$4 / $11')"
echo "  peak memory $(column '$3' | cut -d . -f 1) KiB, of a file of $little bytes $kib KiB"

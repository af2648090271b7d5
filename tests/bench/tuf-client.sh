#!/bin/sh
# `meshanics tuf-client` beside tuf-js, in one run and in turns, over plain http on loopback.
#
#	tests/bench/tuf-client.sh [ROUNDS [CASE...]]	builds what it needs, and prints two tables for RESULTS.md;
#							TMPDIR chooses the file system of the clients' caches
#
# cold: an empty cache and the first root; refresh, then fetch one target. nothing new: a refresh after that. Each run is
# a process of its own; processor time (user and system) and peak memory are those of that process, as the kernel counts
# them. Medians over ROUNDS (7), of processor time the least as well; the ratio is the median of the rounds' own. tuf-js
# takes part once at 10,000 flat, since it needs minutes, and not where it needs hours or refuses the size. The published
# figures of other clients stand beside them. The program is copied first, so that a build meanwhile does no harm.
# Needs nodejs and npm for tuf-js; without them, or with TUF_JS= (empty), ours runs alone.

rounds=${1:-7}
[ $# -eq 0 ] || shift
cases=${*:-flat-1k flat-10k flat-100k flat-100k-loose bins-1k bins-16k roots-100}
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
cd "$top" || exit 1
: "${TUF_JS=3.1.0}"
command -v npm >/dev/null 2>&1 || TUF_JS=
make -s --no-print-directory build/meshanics build/tests/bench/tuf_make build/tests/bench/run || exit 1
meshanics=${MESHANICS:-$top/build/meshanics}
run=$top/build/tests/bench/run
work=$top/build/bench/tuf
mkdir -p "$work" || exit 1

if [ -n "$TUF_JS" ] && [ ! -e "$work/node-$TUF_JS" ]; then
	npm install --silent --no-audit --no-fund --prefix "$work" "tuf-js@$TUF_JS" >"$work/npm.log" 2>&1 || {
		cat "$work/npm.log" >&2
		exit 1
	}
	: >"$work/node-$TUF_JS"
fi
cat >"$work/client.js" <<'X'
// client.js METADATA_DIR METADATA_URL TARGET_DIR TARGET_URL [TARGET]: refresh, and fetch the target if there is one.
const { Updater } = require('tuf-js');
const [metadataDir, metadataBaseUrl, targetDir, targetBaseUrl, target] = process.argv.slice(2);
(async () => {
	const updater = new Updater({ metadataDir, metadataBaseUrl, targetDir, targetBaseUrl });
	await updater.refresh();
	if (target !== undefined) {
		const info = await updater.getTargetInfo(target);
		if (!info) throw new Error(`no target ${target}`);
		await updater.downloadTarget(info);
	}
})().catch((e) => { console.error(e); process.exit(1); });
X

# A directory of this run alone: two runs at a time disturb each other's figures, but nothing else.
dir=$(mktemp -d "${TMPDIR:-$work}/run.XXXXXX") || exit 1
server=
leave() {
	[ -z "$server" ] || kill "$server" 2>/dev/null
	rm -rf "$dir"
}
trap leave EXIT
trap 'exit 1' HUP INT TERM
cp "$meshanics" "$dir/meshanics" && meshanics=$dir/meshanics || exit 1

make_case() {
	case $1 in
	flat-1k) set -- "$1" flat 1000 ;;
	flat-10k) set -- "$1" flat 10000 ;;
	flat-100k) set -- "$1" flat 100000 ;;
	flat-100k-loose) set -- "$1" flat 100000 loose ;;
	bins-1k) set -- "$1" bins 100000 10 ;;
	bins-16k) set -- "$1" bins 1000000 14 ;;
	roots-100) set -- "$1" roots 100 ;;
	*)
		echo "no case '$1'" >&2
		exit 2
		;;
	esac
	name=$1
	shift
	build/tests/bench/tuf_make "$dir/$name" "$@" || exit 1
}

title() {
	case $1 in
	flat-1k) echo '1,000 flat' ;;
	flat-10k) echo '10,000 flat' ;;
	flat-100k) echo '100,000 flat' ;;
	flat-100k-loose) echo '100,000 flat, indented' ;;
	bins-1k) echo '100,000 in 1,024 bins' ;;
	bins-16k) echo '1,000,000 in 16,384 bins' ;;
	roots-100) echo '100 root rotations behind' ;;
	esac
}

# What python-tuf 5.1, go-tuf 2.4.2 and tuf-js 5.0.1 took elsewhere, cold: processor ms / peak MiB.
published() {
	case $1 in
	flat-1k) echo '216 / 35 | 56 / 17 | 498 / 93' ;;
	flat-10k) echo '301 / 52 | 529 / 71 | 35,200 / 186' ;;
	flat-100k*) echo '1,369 / 220 | 6,140 / 646 | not run' ;;
	bins-1k) echo '208 / 34 | 32 / 14 | 474 / 93' ;;
	bins-16k) echo '296 / 50 | 449 / 55 | not run' ;;
	roots-100) echo '364 / 35 | 167 / 17 | 776 / 88' ;;
	esac
}

# theirs_takes_part CASE ROUND
theirs_takes_part() {
	[ -n "$TUF_JS" ] || return 1
	case $1 in
	flat-100k* | bins-16k) return 1 ;;
	flat-10k) [ "$2" -eq 0 ] ;;
	esac
}

ours() {
	rm -rf "$dir/m" "$dir/t"
	mkdir "$dir/m" "$dir/t" && "$meshanics" tuf-client --metadata-dir "$dir/m" init "$dir/$1/root.json" &&
		"$run" "$dir/$1.ours.cold" "$meshanics" tuf-client --metadata-dir "$dir/m" --metadata-url "$url/$1/metadata/" \
			--target-dir "$dir/t" --target-base-url "$url/$1/targets/" --target-name "$target" download >/dev/null &&
		"$run" "$dir/$1.ours.warm" "$meshanics" tuf-client --metadata-dir "$dir/m" --metadata-url "$url/$1/metadata/" refresh
}

theirs() {
	rm -rf "$dir/m" "$dir/t"
	mkdir "$dir/m" "$dir/t" && cp "$dir/$1/root.json" "$dir/m/" || return 1
	set -- "$1" node "$work/client.js" "$dir/m" "$url/$1/metadata" "$dir/t" "$url/$1/targets"
	"$run" "$dir/$1.theirs.cold" "$2" "$3" "$4" "$5" "$6" "$7" "$target" && "$run" "$dir/$1.theirs.warm" "$2" "$3" "$4" "$5" "$6" "$7"
}

# median COLUMN FILE
median() {
	awk -v c="$1" '{ print $c }' "$2" | sort -n |
		awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# figures FILE: "processor ms (least) | wall ms | MiB"
figures() {
	printf '%.1f (%.1f) | %.1f | %.1f' "$(median 2 "$1")" "$(awk '{ print $2 }' "$1" | sort -n | head -n 1)" \
		"$(median 1 "$1")" "$(median 3 "$1" | awk '{ print $1 / 1024 }')"
}

# row CASE KIND: a line of the table.
row() {
	printf '| %s | %s' "$(title "$1")" "$(figures "$dir/$1.ours.$2")"
	if [ -s "$dir/$1.theirs.$2" ]; then
		paste -d ' ' "$dir/$1.theirs.$2" "$dir/$1.ours.$2" | awk 'NF == 6 { print $2 / $5 }' >"$dir/ratios"
		printf ' | %s | %.0f |' "$(figures "$dir/$1.theirs.$2")" "$(median 1 "$dir/ratios")"
	else
		printf ' | | | | |'
	fi
	[ "$2" = warm ] || printf ' %s |' "$(published "$1")"
	echo
}

perl "$top/tests/e2e/httpd.pl" "$dir/port" "$dir" &
server=$!
while [ ! -s "$dir/port" ]; do
	kill -0 "$server" || exit 1
	sleep 0.1
done
url=http://127.0.0.1:$(cat "$dir/port")
for c in $cases; do
	make_case "$c"
	target=$(cat "$dir/$c/target")
	i=0
	while [ "$i" -lt "$rounds" ]; do
		ours "$c" || exit 1
		if theirs_takes_part "$c" "$i"; then
			theirs "$c" || exit 1
		fi
		i=$((i + 1))
	done
	rm -rf "${dir:?}/$c"
	echo "$c: $(figures "$dir/$c.ours.cold")" >&2
done

echo "$(date +%F), $(uname -m), $(nproc) cores, load $(cut -d ' ' -f 1 /proc/loadavg), $rounds rounds," \
	"tuf-js ${TUF_JS:-absent}$([ -z "$TUF_JS" ] || echo ", node $(node --version)")"
echo
echo '| cold refresh and one target | ours: processor ms | wall ms | peak MiB | tuf-js: processor ms | wall ms | peak MiB | ratio | python-tuf 5.1 | go-tuf 2.4.2 | tuf-js 5.0.1 |'
echo '|---|---|---|---|---|---|---|---|---|---|---|'
for c in $cases; do row "$c" cold; done
echo
echo '| refresh with nothing new | ours: processor ms | wall ms | peak MiB | tuf-js: processor ms | wall ms | peak MiB | ratio |'
echo '|---|---|---|---|---|---|---|---|'
for c in $cases; do row "$c" warm; done

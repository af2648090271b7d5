#!/bin/sh
# Every command of the binary has its man page, the page's SYNOPSIS says what the binary takes, and each option is
# explained behind it. Prints TAP. MESHANICS names the binary; operands: only the verbs that begin with these words.
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
: "${MESHANICS:=$top/build/meshanics}"
command -v mandoc >/dev/null 2>&1 || {
	echo '1..0 # SKIP mandoc is not installed'
	exit 0
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$MESHANICS" help --options | cut -f1 | sort >"$work/globals" || exit 1
"$MESHANICS" help --names >"$work/names" || exit 1
n=0 failed=0

# ok TITLE: what stands in $work/diff is the complaint, nothing is fine.
report() {
	n=$((n + 1))
	if [ -s "$work/diff" ]; then
		echo "not ok $n - $1"
		sed 's/^/# /' "$work/diff"
		failed=1
	else
		echo "ok $n - $1"
	fi
}

# The lines of a page's SYNOPSIS, one a command.
synopsis() {
	mandoc -T ascii -O width=1000 "$1" | col -b | sed -n '/^SYNOPSIS/,/^[A-RT-Z]/s/^ *\(meshanics.*\)/\1/p'
}

# Options of a synopsis without its verb as "--name VALUE optional", then the operands: sorted, as the binary says it.
# A verb with several lines takes what any of them takes, and its usage joins their operands by " | ".
split_synopsis() {
	awk -v lines="$(wc -l <"$1")" '
	# The length of the group that begins s with "[": brackets nest.
	function group(s, i, deep, c) {
		for (i = 1; i <= length(s); i++) {
			c = substr(s, i, 1)
			deep += (c == "[") - (c == "]")
			if (deep == 0)
				return i
		}
		return length(s)
	}
	{
		gsub(/ \.\.\./, "...")
		while (match($0, /\[--|--[a-z0-9-]+( [^] [-][^ ]*)?/)) {
			if (RLENGTH == 3)
				RLENGTH = group(substr($0, RSTART))
			o = substr($0, RSTART, RLENGTH)
			rest = substr($0, RSTART + RLENGTH)
			sub(/^\.\.\./, "", rest)
			$0 = substr($0, 1, RSTART - 1) rest
			kind = o ~ /^\[/ || lines > 1 ? "optional" : "required"
			if (o ~ /^\[/)
				o = substr(o, 2, length(o) - 2)
			split(o, part, " ")
			print part[1] " " part[2] " " kind
		}
		gsub(/^ +| +$/, "")
		gsub(/ +/, " ")
		operands = operands (NR > 1 ? " | " : "") $0
	}
	END { print "operands:" (operands == "" ? "" : " " operands) }' "$1" | sort -u
}

# The same from the binary.
# shellcheck disable=SC2086 # a verb is several words
split_help() {
	{
		"$MESHANICS" help --options $1 | awk -F'\t' -v globals="$work/globals" '
			BEGIN { while ((getline g < globals) > 0) known[g] = 1 }
			!($1 in known) { print $1 " " $2 " " $3 }'
		"$MESHANICS" help $1 | sed -n '/^usage:/,/^$/p' | tr -s '\n ' '  ' |
			sed 's/^.*\[options\] */operands: /; s/ *$//; s/[<>]//g'
	} | sort
}

check_verb() {
	page=$top/man/meshanics-${1%% *}.1
	if [ ! -e "$page" ]; then
		echo "there is no man/meshanics-${1%% *}.1" >"$work/diff"
		report "$1"
		return
	fi
	synopsis "$page" | sed -n "s/^meshanics $1\\( .*\\)\\{0,1\\}\$/\\1/p" >"$work/line"
	if [ ! -s "$work/line" ]; then
		echo "its SYNOPSIS has no line for 'meshanics $1'" >"$work/diff"
		report "$1"
		return
	fi
	split_synopsis "$work/line" >"$work/page"
	split_help "$1" >"$work/binary"
	diff -u --label "SYNOPSIS in ${page##*/}" --label "binary" "$work/page" "$work/binary" >"$work/diff"
	sed -n '/^\.Sh DESCRIPTION/,$p' "$page" >"$work/text"
	sed -n 's/^--\([^ ]*\) .*/\1/p' "$work/binary" | while read -r option; do
		grep -q "Fl -$option\\( \\|\$\\)" "$work/text" ||
			echo "--$option is not explained (Fl -$option)" >>"$work/diff"
	done
	report "$1"
}

while read -r verb; do
	case "$verb " in
	"$* "* | "${*:-$verb} "*) check_verb "$verb" ;;
	esac
done <"$work/names"

# And nothing is documented that is not there.
for page in "$top"/man/meshanics-*.1; do
	[ $# -eq 0 ] || break
	synopsis "$page" | awk -v names="$work/names" '
		BEGIN { while ((getline n < names) > 0) known[n] = 1 }
		{
			for (n in known)
				if (index($0 " ", "meshanics " n " ") == 1)
					next
			print "the binary has no verb for: " $0
		}' >"$work/diff"
	report "${page##*/} documents only what there is"
done
if [ $# -eq 0 ]; then
	for page in "$top"/man/meshanics-*.1; do
		page=${page##*/}
		grep -q "Xr ${page%.1} 1" "$top/man/meshanics.1" || echo "it does not name ${page%.1}"
	done >"$work/diff"
	report 'meshanics.1 names every page of a verb'
	"$MESHANICS" config show --config /dev/null --home "$work" | sed '1,/^KEY /d; s/ .*//' | while read -r key; do
		grep -q "^\.It Cm $key\$" "$top/man/meshanics-config.5" || echo "it does not explain $key"
	done >"$work/diff"
	report 'meshanics-config.5 explains every key'
fi
echo "1..$n"
exit $failed

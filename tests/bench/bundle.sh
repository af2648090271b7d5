#!/bin/sh
# Bundles: export, verify and import of one large artifact, beside what the hardware asks for (openssl's SHA-256 of the same
# bytes and a copy of them that is synced) and beside rauc and tar with ssh-keygen; then 1,000 and 10,000 small artifacts.
#
#	make all bench-bins && tests/bench/bundle.sh [BYTES [ROUNDS]]	TMPDIR chooses the file system
#
# A turn does each once, one after the other. Prints medians over the turns, ratios within a turn, and the peak of memory.
# rauc and ssh-keygen are left out where they are not installed (apt-get install rauc openssh-client time jq openssl).

bytes=${1:-1073741824} rounds=${2:-5}
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
meshanics=${MESHANICS:-$top/build/meshanics}
for tool in "$meshanics" "$top/build/tests/bench/run" "$top/build/tests/bench/bundle_fill"; do
	[ -x "$tool" ] || {
		echo "no $tool: run 'make all bench-bins' first" >&2
		exit 1
	}
done
PATH=$(dirname "$meshanics"):$PATH
dir=$(mktemp -d "${TMPDIR:-/tmp}/bundle.XXXXXX") || exit 1
trap 'cd / && rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
HOME=$dir TEST_DIR=$dir
export HOME PATH TEST_DIR
cd "$dir" || exit 1

fail() {
	cat "$@" >&2
	exit 1
}

# Headquarters and a depot in force, whose root the former keeps; nothing is published yet.
sites() {
	{
		for who in root1 targets1; do
			meshanics key generate $who --home off --unsealed || return 1
		done
		meshanics repo init --home hq --publisher 'plant:plant/*/*' --output hq.json &&
			meshanics ceremony new --home off --online-keys hq.json --root-key off/keys/root1.pub \
				--targets-key off/keys/targets1.pub --output hq.request &&
			ceremony hq root1 targets1 && meshanics repo adopt --home hq hq.out/root.json hq.out/targets.json &&
			meshanics repo init --home depot --site depot-7 --output depot.json &&
			meshanics ceremony new --home off --online-keys depot.json --site depot-7 --like hq.out/root.json \
				--export-key hq/repo/keys/record-export.pub --output depot.request &&
			ceremony depot root1 &&
			meshanics repo adopt --home hq depot.out/root.json &&
			meshanics repo adopt --home depot depot.out/root.json hq.out/targets.json
	} >sites.log 2>&1 || fail sites.log
}
ceremony() {
	name=$1 answers=''
	shift
	digits=$(meshanics ceremony status "$name.request" --home off --json | jq -r .request | cut -c 1-16)
	for who in "$@"; do
		meshanics ceremony sign "$name.request" --home off --key "$who" --fingerprint "$digits" --output "$name.$who" || return 1
		answers="$answers $name.$who"
	done
	mkdir "$name.out" || return 1
	# shellcheck disable=SC2086 # words
	meshanics ceremony finish "$name.request" $answers --home off --output "$name.out"
}

# measured NAME COMMAND...: appends "wall-ms cpu-ms peak-KiB" to NAME.cost.
measured() {
	name=$1
	shift
	"$top/build/tests/bench/run" "$name.cost" "$@" >"$name.out" 2>&1 || fail "$name.out"
}
median() {
	awk "{ print $2 }" "$1.cost" | sort -n |
		awk '{ v[NR] = $1 } END { printf "%.2f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
# ratio NAME: openssl and the copy together over NAME, turn by turn; 1 is as fast.
ratio() {
	paste "$1.cost" openssl.cost copy.cost | awk '{ print ($4 + $7) / $1 }' | sort -n |
		awk '{ v[NR] = $1 } END { printf "%.2f\n", v[int((NR + 1) / 2)] }'
}
tell() {
	[ -s "$1.cost" ] || return 0
	printf '  %-14s %8.2f s, processor %6.2f s, peak %8.0f KiB, openssl + copy over it %s\n' "$1" \
		"$(median "$1" '$1 / 1000')" "$(median "$1" '$2 / 1000')" "$(median "$1" '$3')" "$(ratio "$1")"
}

sites
openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c "$bytes" >large
meshanics sign large --home hq --namespace plant --name big --version 1 --kind file --quiet >sign.log 2>&1 || fail sign.log
cp -a depot depot.empty

# What the peers need: a key and a certificate for rauc, a key for ssh-keygen.
mkdir content
ln large content/rootfs.img
cat >content/manifest.raucm <<END
[update]
compatible=bench
version=1
[image.rootfs]
filename=rootfs.img
END
openssl req -x509 -newkey rsa:2048 -nodes -keyout rauc.key -out rauc.crt -days 2 -subj /CN=bench >/dev/null 2>&1
ssh-keygen -q -t ed25519 -N '' -f ssh.key
echo "bench $(cat ssh.key.pub)" >allowed

i=0
while [ $i -lt "$rounds" ]; do
	cat large >/dev/null
	measured openssl openssl dgst -sha256 -r large
	measured copy sh -c 'cp --reflink=never large copied && sync copied'
	rm -f copied d.bundle
	measured export meshanics bundle export --home hq --site depot-7 -o d.bundle --quiet
	measured inspect meshanics bundle inspect d.bundle
	measured verify meshanics bundle verify --root depot.out/root.json d.bundle
	rm -rf depot && cp -a depot.empty depot
	measured import meshanics bundle import --home depot d.bundle --quiet
	measured again meshanics bundle import --home depot d.bundle --quiet
	measured tar+sign sh -c 'tar cf t.tar large && sync t.tar && ssh-keygen -q -Y sign -n bench -f ssh.key t.tar'
	measured ssh-verify sh -c 'ssh-keygen -q -Y verify -f allowed -I bench -n bench -s t.tar.sig <t.tar'
	rm -f t.tar t.tar.sig
	if command -v rauc >/dev/null; then
		rm -f r.raucb
		measured rauc-bundle rauc --cert=rauc.crt --key=rauc.key bundle content r.raucb
		measured rauc-info rauc --keyring=rauc.crt info r.raucb
	fi
	i=$((i + 1))
done
echo "one artifact of $bytes bytes, $rounds turns, on $(stat -f -c %T .)"
for name in openssl copy export inspect verify import again tar+sign ssh-verify rauc-bundle rauc-info; do
	tell "$name"
done

for count in 1000 10000; do
	rm -rf hq* depot* ./*.cost ./*.out off ./*.bundle ./*.request ./*.json large
	sites
	"$top/build/tests/bench/bundle_fill" "$dir/hq" $count 4096 || exit 1
	measured export meshanics bundle export --home hq --site depot-7 -o d.bundle --quiet
	measured verify meshanics bundle verify --root depot.out/root.json d.bundle
	measured import meshanics bundle import --home depot d.bundle --quiet
	echo "$count artifacts of 4096 bytes"
	for name in export verify import; do
		printf '  %-14s %8.2f s, processor %6.2f s, peak %8.0f KiB\n' "$name" "$(median "$name" '$1 / 1000')" \
			"$(median "$name" '$2 / 1000')" "$(median "$name" '$3')"
	done
done

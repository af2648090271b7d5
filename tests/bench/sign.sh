#!/bin/sh
# How long `sign` hashes a large file, against `openssl dgst -sha256`, and how long it copies it, apart.
# usage: tests/bench/sign.sh [BYTES [ROUNDS]]; MESHANICS names the binary, TMPDIR the file system.
# A round is openssl, sign, openssl: the sign of each is held against the mean of its neighbours.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
m=${MESHANICS:-$top/build/meshanics}
bytes=${1:-1073741824} rounds=${2:-3}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
cd "$dir" || exit 1

set -e
"$m" key generate k --home off --unsealed --quiet >key.log 2>&1
"$m" repo init --home hq --publisher 'bench:bench/*/*' -o online.json --quiet >log
"$m" ceremony new --home off --online-keys online.json --root-key off/keys/k.pub --targets-key off/keys/k.pub --quiet >log
f=$("$m" ceremony status request.json --home off --json | jq -r .request)
"$m" ceremony sign request.json --home off --key k --fingerprint "$f" --quiet >log
"$m" ceremony finish request.json answer-k.json --home off --quiet >log
"$m" repo adopt --home hq root.json targets.json >log

head -c "$bytes" /dev/urandom >big
cat big >/dev/null
dgst() {
	s=$(date +%s%N)
	openssl dgst -sha256 big >/dev/null
	echo $((($(date +%s%N) - s) / 1000000))
}
echo "round  openssl ms  sign: hash ms  copy ms  hash/openssl"
n=1
while [ "$n" -le "$rounds" ]; do
	a=$(dgst)
	"$m" sign big --home hq --namespace bench --name big --version "$n" --json >out.json
	b=$(dgst)
	jq -r --argjson a "$a" --argjson b "$b" --arg n "$n" \
		'"\($n)      \(($a + $b) / 2 | floor)         \(.hash_ms)           \(.copy_ms)     \(.hash_ms * 200 / ($a + $b) | floor | . / 100)"' out.json
	"$m" artifact withdraw "bench/big/$n" --home hq --remove-bytes --quiet >log
	n=$((n + 1))
done

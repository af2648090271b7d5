#!/bin/sh
# Bundles around the sizes at which other formats went wrong, end to end: one artifact each of 2 GiB and 4 GiB, a byte less and a
# byte more, and of 9 GiB, where the tar's octal numbers end. Artifacts are sparse, what is made of them is not: this takes
# 30 GiB of disk (TMPDIR) and some minutes, so `make soak` runs it and `make check` does not. SIZES="N N..." for others.
. "$(dirname "$0")/lib.sh"
test_need jq /usr/bin/time
. "$TEST_SRC/tests/e2e/site.sh"

: "${SIZES:=2147483647 2147483648 2147483649 4294967295 4294967296 4294967297 9663676416}"

test_expect 'two sites come into being' '
	site_up hq && site_depot depot-7 && as hq repo adopt depot-7.out/root.json &&
	as depot-7 repo adopt depot-7.out/root.json hq.out/targets.json
'

# carry SIZE: through a pipe, as through ssh; then the last byte of the same bundle is changed in a file.
carry() {
	rm -rf big && truncate -s "$1" big && printf "end" | dd of=big bs=1 seek=$(($1 - 3)) conv=notrunc status=none &&
		as hq sign big --namespace plant --name "big-$1" --version 1 --kind file --quiet &&
		want=$(sha256sum big | cut -d " " -f 1) && rm big &&
		as hq bundle export --site depot-7 --artifact "plant/big-$1/1" -o - | /usr/bin/time -q -o peak -f %M \
			meshanics --home "$TEST_DIR/depot-7" bundle import - &&
		test "$(sha256sum "depot-7/repo/targets/plant/big-$1/$want.1" | cut -d " " -f 1)" = "$want" &&
		test "$(cat peak)" -lt 16384 &&
		test "$(stat -c %s "depot-7/repo/targets/plant/big-$1/$want.1")" = "$1"
}
changed() {
	as hq bundle export --site depot-7 --artifact "plant/big-$1/1" -o one.bundle &&
		as hq bundle verify --root depot-7.out/root.json one.bundle &&
		test_flip one.bundle $(($(stat -c %s one.bundle) - 1024 - (512 - $1 % 512) % 512 - 1)) &&
		test_status 3 as hq bundle verify --root depot-7.out/root.json one.bundle 2>err &&
		grep "member .targets/.*SHA-256 is not the one that is listed" err &&
		rm one.bundle
}
for size in $SIZES; do
	test_expect "an artifact of $size bytes arrives whole, in constant memory" "carry $size"
	test_expect "and its last byte counts" "changed $size"
	rm -rf depot-7/repo/targets/plant/big-* hq/repo/targets/plant/big-*
done
test_done

#!/bin/sh
# A control plane whose disk is full: what has a size is refused before its first byte, with the numbers; what serve must
# go on writing has its room; and all of it is over with the filler.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need_root
test_need jq sqlite3 curl

avail() { df -k --output=avail hq | tail -n 1; }
# All but $1 KiB.
fill() {
	truncate -s 0 hq/filler
	head -c $(($(avail) * 1024 - $1 * 1024)) /dev/zero >>hq/filler
	[ "$1" -gt 0 ] || while head -c 4096 /dev/zero >>hq/filler; do :; done 2>/dev/null
	return 0
}
unfill() { rm -f hq/filler; }
staged() { ls -A hq/repo/staging; }
put() { curl -sS --unix-socket hq/control/control.sock -X PUT "http://localhost/api/v1/blobs/$(sha256sum <big | cut -c 1-64)" "$@"; }
refused() { jq -e ".error.kind == \"retry\" and (.error.text | test(\"needs $1 bytes in .repo. and 67108864 that stay free, [0-9]+ are free\"))" "$2"; }
whole() { test "$(stat -c %b hq/control/reserve)" = 32768; }

test_expect 'a site on a small disk: serve has its reserve' '
	test_disk hq 150m && fleet_site && fleet_serve && whole && fleet_device 1 && head -c 20000000 /dev/urandom >big &&
	fleet_sign 1 && fleet_rollout 1 && test_wait 30 fleet_state 1 completed
'
test_expect 'sign says what it needs before the first byte, and leaves nothing' '
	fill 80000 && before=$(avail) &&
	test_status 4 meshanics sign big --home hq --namespace plant --name big --version 1 2>err &&
	grep "needs 20000000 bytes in .repo. and 67108864 that stay free, [0-9]* are free" err && grep "make room" err &&
	test -z "$(staged)" && test ! -e big.sig && test "$(avail)" -ge $((before - 64))
'
test_expect 'an upload is refused at once as well' '
	put --data-binary @big -o answer && refused 20000000 answer && test -z "$(staged)"
'
test_expect 'an upload that is given up keeps what has come, and no room beyond' '
	unfill && before=$(avail) && { timeout 3 curl -sS --limit-rate 500k --unix-socket hq/control/control.sock -X PUT --data-binary @big \
		"http://localhost/api/v1/blobs/$(sha256sum <big | cut -c 1-64)"; test $? -eq 124; } &&
	held() { test "$(avail)" -gt $((before - 10000)); } && test_wait 20 held && test -s hq/repo/staging/*.part && rm -f hq/repo/staging/*.part
'
test_expect 'with room again it is published' '
	meshanics sign big --home hq --namespace plant --name big --version 1
'
test_expect 'small things still fit where large ones do not: what is withdrawn makes room' '
	fill 40000 && before=$(avail) && test_status 4 meshanics sign big --home hq --namespace plant --name big --version 2 2>err &&
	meshanics artifact withdraw plant/big/1 --remove-bytes --home hq && test "$(avail)" -gt $((before + 18000)) && unfill &&
	meshanics sign big --home hq --namespace plant --name big --version 2
'
test_expect 'somebody fills all of it: devices are answered, a rollout runs, and the repository is signed anew' '
	fleet_sign 2 && fill 0 && test "$(avail)" -lt 64 && test_wait 30 fleet_rollout 2 && test_wait 60 fleet_state 2 completed &&
	fleet_current 1 "plc 2" && test_wait 30 meshanics repo refresh --force --home hq && meshanics repo verify --home hq &&
	grep "serve.disk.*whole=false" serve.log
'
test_expect 'serve starts on a full disk' '
	test_stop serve && fill 0 && test "$(avail)" -lt 64 && fleet_serve && test_wait 30 meshanics repo refresh --force --home hq
'
test_expect 'the reserve is back when there is room' '
	unfill && test_wait 30 whole && test_wait 30 grep "serve.disk.*whole=true" serve.log && meshanics repo verify --home hq &&
	meshanics audit verify --home hq
'
test_expect 'an export is refused before its first byte, with the bytes that are missing there' '
	test_disk out 12m && test_status 4 meshanics repo export out --home hq 2>err && grep "needs 200[0-9]* bytes in .out." err &&
	test -z "$(find out -type f ! -name .meshanics-export)" && umount out && mkdir -p out && meshanics repo export out --home hq
'
test_expect 'a backup, too' '
	head -c 40 /dev/urandom | base64 >pass && chmod 600 pass && test_disk safe 12m &&
	test_status 4 meshanics backup create safe/b --home hq --passphrase-file pass 2>err && grep "needs 2[0-9]* bytes in .the backup.s directory." err &&
	test -z "$(ls -A safe)" && test ! -e hq/control/.backup.db && fill 60000 &&
	test_status 4 meshanics backup create b --home hq --passphrase-file pass 2>err && grep "needs [0-9]* bytes in .*hq. and 67108864" err &&
	unfill && meshanics backup create b --home hq --passphrase-file pass
'
test_expect 'all of it ends cleanly' 'test_stop agent1 && test_stop serve'
test_done

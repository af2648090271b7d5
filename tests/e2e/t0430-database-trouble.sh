#!/bin/sh
# The store is locked by another program, its disk is full, stuck, or read-only after an error, while serve runs: whoever
# reports is told to try again, nothing is answered that is not durable, and all goes on when the trouble is over.
#
# The home of the control plane is a file system of its own, in a mount namespace that goes with this test.
if [ "$(id -u)" = 0 ] && [ -z "${UNSHARED:-}" ]; then
	UNSHARED=1 exec unshare -m sh "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq sqlite3 curl

db=hq/control/meshanics.db disk='' n=0
lines() { wc -l <answered.log; }
more() { test "$(lines)" -ge "$1"; }
# Reports are answered again, now.
flows() { n=$(lines) && test_wait 60 more $((n + 50)); }
# Nobody was answered for two seconds.
quiet() { n=$(lines) && sleep 2 && test "$(lines)" = "$n"; }
stuck() { test_wait 30 quiet; }
seen() { meshanics device list --home hq --json | jq -e '.devices[] | select(.device == "press-0001") | .presence == "online"'; }
logged() { grep -q "$1" serve.log; }
# How many times the log says so.
said() { test "$(grep -c "$1" serve.log)" -ge "$2"; }
# Who reported was told nothing but to try again, and was told so.
counted() {
	test_stop reporter
	tail -n 1 reporter.log >counts && cat reporter.log && test_json ".refused == 0 and .failed > 0" counts
}
all_there() {
	sqlite3 $db "SELECT instance || ' ' || seq FROM transitions" | sort >there && sort answered.log >answered &&
		comm -13 there answered >lost && test ! -s lost && test -z "$(uniq -d answered)"
}
put_on_disk() {
	head -c 67108864 /dev/zero >disk.img && mkfs.ext4 -q -F disk.img && mkdir disk &&
		mount -o loop,errors=remount-ro disk.img disk && cp -a hq/. disk && umount disk && rm -rf hq/* &&
		mount -o loop,errors=remount-ro disk.img hq && disk=$(findmnt -n -o SOURCE "$TEST_DIR/hq")
}
# Somebody who takes every block that becomes free, until the file 'hog' goes.
hog() {
	while [ -e hog ]; do
		cat /dev/zero >>hq/filler
		sleep 0.1
	done
}
report() {
	: >>answered.log && test_start reporter "$TEST_TOOLS/reporter" "fleet$1" token signed/root.json 5 answered.log && flows
}

test_expect 'a site, a device in it, and five that report' '
	test -x "$TEST_TOOLS/reporter" && fleet_site
'
if [ "$(id -u)" = 0 ]; then
	test_expect 'its home is a small disk' 'put_on_disk'
fi
test_expect 'all is well at first' '
	fleet_serve && fleet_device 1 && rm -f token &&
	meshanics enroll token create --home hq --root signed/root.json --name-prefix cell --uses 30 --out token &&
	report 1 && test_wait 30 seen
'
test_expect 'locked by another program: try again, and heartbeats go on' '
	mkfifo in && { sqlite3 $db <in >locked 2>&1 & } && exec 4>in &&
	echo ".timeout 20000
BEGIN IMMEDIATE; SELECT 1;" >&4 && test_wait 30 grep -q 1 locked && stuck && test_wait 30 logged "serve.lastseen.*locked" &&
	seen && curl -sS --unix-socket hq/control/control.sock http://x/healthz | jq -e ".status == \"ok\"" &&
	test_status 4 meshanics operator add early --role viewer --home hq --out early.token 2>err && grep "locked by another" err &&
	echo "COMMIT;" >&4 && exec 4>&- && flows && seen && test_wait 10 logged "serve.lastseen over=true" &&
	counted && all_there
'
if [ "$(id -u)" = 0 ]; then
	test_expect 'a full disk: try again, with a reason in the log and its end; signing says so as well' '
		report 2 && : >hog && { hog >/dev/null 2>&1 & hog=$!; } &&
		test_wait 60 logged "serve.lastseen.*no space left" && stuck && seen &&
		test_status 4 meshanics repo refresh --force --home hq 2>err && grep -i "no space" err &&
		test_status 4 meshanics operator add early --role viewer --home hq --out early.token 2>err && grep -i "no space" err &&
		rm hog && wait $hog; rm hq/filler && flows && seen && test_wait 10 said "serve.lastseen over=true" 2 &&
		meshanics repo refresh --force --home hq && counted && all_there
	'
	test_expect 'a disk that hangs: nothing is answered until it moves again' '
		report 3 && fsfreeze -f hq && stuck && fsfreeze -u hq && flows && test_stop reporter &&
		tail -n 1 reporter.log | jq -e ".refused == 0" && all_there
	'
	test_expect 'an error that makes the disk read-only: try again; repaired, nothing is lost' '
		report 4 && echo 1 >"/sys/fs/ext4/${disk#/dev/}/trigger_fs_error" &&
		test_wait 60 logged "serve.lastseen.*\(readonly\|read-only\|I/O\)" && stuck && seen &&
		test_status 4 meshanics operator add early --role viewer --home hq --out early.token 2>err && cat err &&
		counted && { test_stop agent1; test_stop serve; umount hq && e2fsck -fp disk.img; test $? -le 1; } &&
		mount -o loop disk.img hq && all_there && sqlite3 $db "PRAGMA integrity_check" | grep -x ok &&
		fleet_serve && report 5 && test_stop reporter && all_there
	'
else
	test_skip 'a disk that is full, that hangs, that is read-only' 'not root'
fi
test_expect 'it ends cleanly' '
	test_stop serve && grep "serve.stopped clean=true" serve.log && sqlite3 $db "PRAGMA integrity_check" | grep -x ok
'
cd /
if [ -n "$disk" ]; then
	umount "$TEST_DIR/hq" || umount -l "$TEST_DIR/hq"
fi
test_done

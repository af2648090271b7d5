#!/bin/sh
# A control database that is locked, damaged, newer, emptied or open to others: a clear word, and nothing lost.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need sqlite3 jq

db=hq/control/meshanics.db
hq() { meshanics "$@" --home hq; }
fresh() { rm -rf hq && cp -r good hq; }

test_expect 'a control plane with something in it' '
	meshanics ca init --home hq && hq operator add alice --role admin --out token && cp -r hq good &&
	test "$(stat -c %a $db)" = 600
'
test_expect 'locked by another program: try again' '
	mkfifo in && { sqlite3 $db <in >locked 2>&1 & } && exec 4>in &&
	echo "BEGIN IMMEDIATE; SELECT 1;" >&4 && test_wait 10 grep -q 1 locked &&
	test_status 4 hq operator revoke alice 2>err && grep "locked by another process" err && grep "^hint: .fuser" err &&
	echo "COMMIT;" >&4 && exec 4>&- &&
	hq operator revoke alice
'
test_expect 'of a newer program: it says so and changes nothing' '
	fresh && sqlite3 $db "PRAGMA user_version = 99" && sha256sum $db >sum &&
	test_status 1 hq operator list 2>err && grep "schema version 99, this program knows versions up to" err &&
	grep "^hint: run the newer meshanics" err && sha256sum -c --quiet sum &&
	test_status 1 meshanics serve --home hq 2>err && grep "schema version 99" err && sha256sum -c --quiet sum
'
test_expect 'of another program: it is left alone' '
	fresh && rm $db && sqlite3 $db "CREATE TABLE mine (x)" && chmod 600 $db && sha256sum $db >sum &&
	test_status 1 hq operator list 2>err && grep "no control database of meshanics" err && sha256sum -c --quiet sum
'
test_expect 'damaged: the hint names the way back' '
	fresh && dd if=/dev/urandom of=$db bs=4096 seek=1 count=100 conv=notrunc 2>/dev/null &&
	test_status 1 hq operator list 2>err && grep "is damaged" err && grep "^hint: .*meshanics backup restore" err &&
	fresh && printf "not a database at all, just some text that is long" | dd of=$db conv=notrunc 2>/dev/null &&
	test_status 1 hq operator list 2>err && grep "is damaged" err && grep "backup restore" err
'
test_expect 'emptied: it is not taken for a new one' '
	fresh && : >$db && test_status 1 hq operator list 2>err && grep "is empty" err && test ! -s $db &&
	test_status 1 hq operator add eve --role admin 2>err && test ! -s $db
'
test_expect 'open to others, or somewhere else: refused' '
	fresh && chmod 640 $db && test_status 3 hq operator list 2>err && grep "^hint: chmod 600" err &&
	chmod 600 $db && hq operator list &&
	mv $db elsewhere && ln -s ../../elsewhere $db && test_status 3 hq operator list 2>err && grep "not a regular file" err
'
test_done

#!/bin/sh
# Backups: made while serve runs, sealed, verified, restored; every refusal; and a restored control plane at work.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq

hq() { meshanics "$@" --home hq; }
backup() { verb=$1; shift; meshanics backup "$verb" --passphrase-file pass "$@"; }
restore() { rm -rf back; backup restore --home back "$@"; }

printf 'a passphrase' >pass
chmod 600 pass
chmod 711 .

test_expect 'there is nothing to back up before there is a control plane' '
	test_status 1 backup create b --home empty 2>err && grep "no control plane" err && test ! -e b
'
test_expect 'a fleet of one at work' '
	fleet_site && fleet_serve && fleet_device 1 && fleet_sign 1 && fleet_rollout 1 && test_wait 30 fleet_current 1 "plc 1"
'
test_expect 'a backup is made while serve runs, and recorded' '
	backup create b1 --home hq --json >out && test_json ".site == \"main\" and .audit_fault == null" out &&
	test "$(stat -c %a b1)" = 600 &&
	hq audit list --action backup.create --json >trail &&
	test "$(jq -r ".records[0].detail.sha256" trail)" = "$(sha256sum b1 | cut -c 1-64)" &&
	test ! -e hq/control/.backup.db
'
test_expect 'it holds no secret in the open' '
	! grep -q "PRIVATE\|meshanics\|BEGIN\|SQLite" b1
'
test_expect 'a file that is there stays, unless --force' '
	sha256sum b1 >sum &&
	test_status 1 backup create b1 --home hq && sha256sum -c --quiet sum &&
	backup create b1 --home hq --force && ! sha256sum -c --quiet sum 2>/dev/null
'
test_expect 'short passphrases, and those that others may read, are refused' '
	printf short >p2 && chmod 600 p2 && test_status 2 meshanics backup create b2 --home hq --passphrase-file p2 2>err &&
	grep "at least 8" err && test ! -e b2 &&
	printf "long enough" >p3 && chmod 644 p3 && test_status 3 meshanics backup create b2 --home hq --passphrase-file p3 &&
	test_status 2 meshanics backup create b2 --home hq 2>err && grep passphrase err
'
test_expect 'it verifies; with another passphrase, a flipped byte or a missing end it does not' '
	backup verify b1 >out && grep "whole: .b1." out &&
	test_status 3 meshanics backup verify b1 --passphrase-file p2 2>err && grep "passphrase is wrong" err &&
	cp b1 t && test_flip t 100000 && test_status 3 backup verify t 2>err && grep "was changed" err &&
	cp b1 t && test_flip t 20 && test_status 3 backup verify t &&
	head -c 100000 b1 >t && test_status 3 backup verify t 2>err && grep "cut short" err &&
	head -c 30 b1 >t && test_status 3 backup verify t &&
	(cat b1; echo x) >t && test_status 3 backup verify t &&
	test_status 3 backup verify pass 2>err && grep "no file sealed by meshanics" err &&
	test_status 1 backup verify nothing
'
test_expect 'nothing is restored from any of these, nor over what is there' '
	for f in t pass; do
		rm -rf back && test_status 3 backup restore $f --home back && test ! -e back/control/meshanics.db &&
		test ! -e back/control/.restore || return 1
	done &&
	test_status 4 backup restore b1 --home hq 2>err && grep "in use" err
'
test_expect 'serve ends, and a restore refuses the home that is there' '
	test_stop serve &&
	test_status 1 backup restore b1 --home hq 2>err && grep "not empty: there is .control/" err &&
	mkdir -p half/repo && echo x >half/repo/y &&
	test_status 1 backup restore b1 --home half 2>err && grep "repo/y" err
'
test_expect 'restored, it is the same control plane' '
	restore b1 >out && grep "restored: .b1." out &&
	meshanics audit verify --home back &&
	meshanics device list --home back --json >out && test_json "[.devices[].device] == [\"press-0001\"]" out &&
	meshanics rollout show 1 --home back --json >out && test_json ".state == \"completed\"" out &&
	meshanics repo verify --home back &&
	meshanics ca show --home back --json >a && meshanics ca show --home hq --json >b && cmp a b &&
	test "$(stat -c %a back/repo/keys/snapshot.key back/control/ca/device.key | sort -u)" = 600 &&
	meshanics audit list --action backup.restore --home back --json >out && test_json ".records | length == 1" out
'
test_expect 'empty directories, as the service manager makes them, are no hindrance' '
	rm -rf back && mkdir -p back/control back/repo && backup restore b1 --home back && meshanics audit verify --home back
'
test_expect 'its device comes to it, and it signs nothing before devices had time to speak' '
	mv hq old && mv back hq && fleet_serve &&
	test_wait 30 eval "hq device list --presence online --json | jq -e \".devices | length == 1\"" &&
	test_wait 10 grep "serve.sign.*waiting for devices" serve.log &&
	! grep serve.signed serve.log &&
	fleet_current 1 "plc 1"
'
test_expect 'what is made from now on has numbers above all that were given out' '
	fleet_sign 2 && fleet_rollout 2 --json >out && test_json ".id > 1000000" out &&
	test_wait 30 fleet_current 1 "plc 2"
'
test_done

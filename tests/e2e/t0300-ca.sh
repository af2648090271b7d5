#!/bin/sh
# The certificate authorities: made once, shown, read by other programs, refused when they do not fit.
. "$(dirname "$0")/lib.sh"
MESHANICS_HOME=$TEST_DIR/home
export MESHANICS_HOME
ca=home/control/ca

test_expect 'there is nothing to show before init, and the hint says what to do' '
	test_status 1 meshanics ca show 2>err &&
	grep "no control plane" err &&
	grep "meshanics ca init" err
'

test_expect 'init refuses odd sites, lives and clocks, and makes nothing then' '
	test_status 3 meshanics ca init --site ../x 2>err &&
	grep "site" err &&
	test_status 2 meshanics ca init --life 1d &&
	test_status 2 meshanics ca init --life 21y &&
	test_status 2 meshanics ca init extra &&
	test ! -e $ca/device.pem
'

if command -v faketime >/dev/null; then
	test_expect 'init refuses a clock that was never set' '
		test_status 4 test_at "1970-01-02 00:00:00" meshanics ca init 2>err &&
		grep "the clock says 1970" err &&
		test ! -e $ca/device.pem
	'
else
	test_skip 'init refuses a clock that was never set' 'faketime is not installed'
fi

test_expect 'init makes three CAs; keys are private' '
	meshanics ca init --site depot-7 --life 5y >out &&
	test "$(grep -c "CA  sha256" out)" = 3 &&
	for kind in device server operator; do
		test "$(stat -c %a $ca/$kind.key)" = 600 || return 1
	done
'

test_expect 'init happens once' '
	sha256sum $ca/* >before &&
	test_status 1 meshanics ca init 2>err &&
	grep "exist already" err &&
	sha256sum -c --quiet before
'

test_expect 'show prints the hashes that openssl computes' '
	meshanics ca show --json >ca.json &&
	test_json ".site == \"depot-7\" and (.cas | length == 3)" ca.json &&
	for kind in device server operator; do
		hash=$(openssl x509 -in $ca/$kind.pem -outform DER | sha256sum | cut -d" " -f1) &&
		test_json ".cas[] | select(.kind == \"$kind\") | .sha256 == \"$hash\"" ca.json &&
		meshanics ca show --certificate $kind >$kind.pem &&
		cmp $kind.pem $ca/$kind.pem || return 1
	done &&
	meshanics ca show | grep "^server .*meshanics server CA"
'

test_expect 'show refuses an unknown kind' '
	test_status 2 meshanics ca show --certificate root 2>err &&
	grep "device, server, operator" err
'

test_expect 'openssl accepts each under its strictest rules' '
	for kind in device server operator; do
		openssl verify -x509_strict -check_ss_sig -CAfile $kind.pem $kind.pem &&
		openssl x509 -in $kind.pem -noout -text >text &&
		grep "O = depot-7, CN = meshanics $kind CA" text &&
		grep "CA:TRUE, pathlen:0" text || return 1
	done
'

test_expect 'an init that was cut short is completed, and keeps what was whole' '
	cp $ca/server.pem server.before &&
	rm $ca/operator.pem &&
	test_status 1 meshanics ca show &&
	meshanics ca init --site depot-7 >out &&
	cmp server.before $ca/server.pem &&
	meshanics ca show >out
'

test_expect 'a key that others can read is refused' '
	chmod 644 $ca/server.key &&
	test_status 3 meshanics ca show 2>err &&
	grep "server.key" err &&
	chmod 600 $ca/server.key
'

test_expect 'a key of another CA is refused' '
	mv $ca/server.key server.key &&
	cp $ca/device.key $ca/server.key &&
	test_status 3 meshanics ca show 2>err &&
	grep "does not belong" err &&
	mv server.key $ca/server.key &&
	meshanics ca show >out
'

test_expect 'every attempt is in the audit trail, and no key is' '
	meshanics audit list --json >audit.json &&
	grep -q "\"ca.init\"" audit.json &&
	grep -q "site:depot-7" audit.json
'

test_done

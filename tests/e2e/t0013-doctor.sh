#!/bin/sh
# doctor: a sound home has no problem, and each defect is found, named, and answered with advice.
. "$(dirname "$0")/lib.sh"

# doctor --quiet on home h, findings in out.
doctor() {
	meshanics doctor --quiet --home h "$@" >out 2>err
}

test_expect 'a machine on which nothing was set up has no problem' '
	test_status 0 doctor &&
	grep "^warning  home .*/h. does not exist: nothing was set up here$" out &&
	! grep "^problem" out
'

test_expect 'a sound home has no problem' '
	meshanics key generate one --unsealed --home h &&
	meshanics ca init --home h &&
	doctor &&
	! grep "^problem" out &&
	meshanics doctor --home h >out &&
	grep "^ok       keys .*/h/keys: 1 good, 1 of them without a passphrase$" out &&
	grep "^ok       control  the database is sound$" out &&
	grep "^ok       control  the device CA expires at " out &&
	grep "^ok       disk " out
'

test_expect 'a key file that others can read' '
	chmod 644 h/keys/one.key &&
	test_status 1 doctor &&
	grep "^problem  keys .*one.key. is open to group or others (mode 0644)$" out &&
	grep "^  *-> chmod 600 " out &&
	grep "^meshanics: 1 of [0-9]* findings need attention$" err &&
	chmod 600 h/keys/one.key && doctor
'

test_expect 'a key file that is damaged' '
	cp h/keys/one.key keep &&
	test_flip h/keys/one.key 60 &&
	test_status 1 doctor &&
	grep "^problem  keys .*one.key" out &&
	cp keep h/keys/one.key && doctor
'

test_expect 'a home into which others can write' '
	chmod 777 h &&
	test_status 1 doctor &&
	grep "^problem  home .*/h. is open to others (mode 0777)$" out &&
	grep "^  *-> chmod go-w .*/h.$" out &&
	chmod 755 h && doctor
'

test_expect 'a wrong configuration' '
	printf "serve:\n  lops: 1\n" >bad.yaml &&
	test_status 1 doctor --config bad.yaml &&
	grep "^problem  config   bad.yaml:2:3: unknown key .serve.lops.$" out &&
	grep "^  *-> did you mean .serve.loops.?$" out
'

test_expect 'a damaged database' '
	cp h/control/meshanics.db keep.db &&
	rm -f h/control/meshanics.db-wal h/control/meshanics.db-shm &&
	printf XXXXXXXXXXXXXXXX | dd of=h/control/meshanics.db bs=1 seek=4096 conv=notrunc &&
	test_status 1 doctor &&
	grep "^problem  control " out &&
	cp keep.db h/control/meshanics.db && chmod 600 h/control/meshanics.db && doctor
'

test_expect 'an authority without its key' '
	mv h/control/ca/device.key keep.ca &&
	test_status 1 doctor &&
	grep "^problem  control " out &&
	mv keep.ca h/control/ca/device.key && doctor
'

test_expect 'what expires soon, as far ahead as was asked' '
	test_status 1 doctor --within 20y &&
	grep "^problem  control  the server CA expires at .* (in 3[0-9]*d" out &&
	test_status 2 doctor --within soon
'

if command -v faketime >/dev/null; then
	test_expect 'a clock at 1970, one at 2060, and authorities that ended' '
		test_status 1 test_at "1970-01-02 00:00:00" meshanics doctor --quiet --home h >out 2>err &&
		grep "^problem  clock " out &&
		test_status 1 test_at "2060-01-01 00:00:00" meshanics doctor --quiet --home h >out 2>err &&
		grep "^problem  clock .*2060-01-01T" out &&
		grep "^problem  control  the operator CA expired at " out
	'
else
	test_skip 'a clock at 1970, one at 2060, and authorities that ended' 'faketime is not installed'
fi

test_expect 'an identity of a device' '
	mkdir -m 755 h/agent && umask 077 &&
	echo "{\"not_after\":\"2020-01-01T00:00:00Z\",\"renew_at\":\"2019-12-01T00:00:00Z\"}" >h/agent/identity.json &&
	test_status 1 doctor &&
	grep "^problem  agent    the device.s certificate expired at 2020-01-01T00:00:00Z$" out &&
	echo "{\"not_after\":\"2099-01-01T00:00:00Z\",\"renew_at\":\"2019-12-01T00:00:00Z\"}" >h/agent/identity.json &&
	doctor && grep "^warning  agent .*has not been renewed$" out &&
	test_status 1 doctor --strict &&
	echo "{\"not_after\":\"2099-01-01T00:00:00Z\",\"renew_at\":\"2098-12-01T00:00:00Z\"}" >h/agent/identity.json &&
	doctor && ! grep " agent " out &&
	echo "{\"not_after\":" >h/agent/identity.json &&
	test_status 1 doctor && grep "^problem  agent " out &&
	rm -r h/agent
'

if command -v jq >/dev/null; then
	test_expect 'the same as JSON' '
		meshanics doctor --home h --json >out &&
		test_json ".problems == 0 and (.findings | length > 5)" out &&
		chmod 644 h/keys/one.key &&
		test_status 1 meshanics doctor --home h --json >out 2>err &&
		test_json ".problems == 1" out &&
		test_json "[.findings[] | select(.level == \"problem\") | .area == \"keys\" and (.hint | length > 0)] == [true]" out &&
		test_json ".error.status == 1" err &&
		chmod 600 h/keys/one.key
	'
else
	test_skip 'the same as JSON' 'jq is not installed'
fi

if command -v faketime >/dev/null && command -v jq >/dev/null; then
	. "$TEST_SRC/tests/e2e/fleet.sh"

	test_expect 'a repository: what expires when' '
		fleet_site &&
		meshanics doctor --home hq >out &&
		grep "^ok       repo     root version 1 expires at .* (in 36[45]d)$" out &&
		grep "^ok       repo     timestamp version [0-9]* expires at " out &&
		grep "^ok       keys .*/hq/repo/keys: [0-9]* good" out
	'

	test_expect 'a repository that serve did not sign again in time' '
		test_status 1 test_at +20h meshanics doctor --quiet --home hq >out &&
		grep "^problem  repo     timestamp should have been signed again by " out &&
		grep "^  *-> does meshanics serve run?" out &&
		test_status 1 test_at +2d meshanics doctor --quiet --home hq >out &&
		grep "^problem  repo     timestamp version [0-9]* expired at " out
	'

	test_expect 'roles that a ceremony must renew, as far ahead as was asked' '
		test_status 1 test_at +170d meshanics doctor --quiet --home hq >out &&
		grep "^problem  repo     targets version 1 expires at " out &&
		! grep "^problem  repo     root" out &&
		test_status 1 test_at +170d meshanics doctor --quiet --home hq --within 1y >out &&
		grep "^problem  repo     root version 1 expires at " out
	'

	test_expect 'an online key that others can read' '
		chmod 640 hq/repo/keys/snapshot.key &&
		test_status 1 meshanics doctor --quiet --home hq >out &&
		grep "^problem  keys .*snapshot.key. is open to group or others" out
	'
else
	test_skip 'doctor over a repository' 'faketime or jq is not installed'
fi

test_done

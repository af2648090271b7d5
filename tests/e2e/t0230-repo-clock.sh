#!/bin/sh
# Clocks of 1970 and of 2040: nothing is signed that would be wrong for as long as it lives.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq faketime

# at TIME NAME CMD...: as NAME, with that clock.
at() {
	at_t=$1 at_h=$2
	shift 2
	test_at "$at_t" meshanics --home "$TEST_DIR/$at_h" "$@"
}

test_expect 'a site in force' 'site_up hq && echo x >x'

test_expect 'no ceremony begins, is signed or ends in 1970' '
	test_status 4 at "1970-01-02 00:00:00" alice ceremony new --online-keys hq.online.json --root-key alice.pub --targets-key bob.pub -o r 2>err &&
	grep "before this program was built" err &&
	test_status 4 at "1970-01-02 00:00:00" bob ceremony sign hq.request.json --key bob --fingerprint "$(fingerprint hq.request.json)" -o r &&
	test_status 4 at "1970-01-02 00:00:00" alice ceremony finish hq.request.json hq.alice.json hq.carol.json -o . &&
	test ! -e r && test ! -e root.json
'

test_expect 'in 2040 the request has expired' '
	test_status 3 at "2040-01-01 00:00:00" bob ceremony sign hq.request.json --key bob --fingerprint "$(fingerprint hq.request.json)" -o r 2>err &&
	grep "expired at .* the clock says 2040" err && grep "set the clock" err &&
	test_status 3 at "2040-01-01 00:00:00" alice ceremony finish hq.request.json hq.alice.json hq.carol.json -o . && test ! -e root.json
'

test_expect 'the box signs neither in 1970 nor in 2040' '
	find hq/repo/metadata -type f -exec cksum {} + | sort >before &&
	test_status 4 at "1970-01-02 00:00:00" hq repo refresh --force 2>err && grep "before this program was built" err &&
	test_status 4 at "1970-01-02 00:00:00" hq repo refresh --force --accept-clock &&
	test_status 4 at "2040-01-01 00:00:00" hq repo refresh 2>err && grep "after the last signature" err && grep -e "--accept-clock" err &&
	test_status 3 at "2040-01-01 00:00:00" hq repo refresh --accept-clock 2>err && grep "root .*expired" err &&
	test_status 4 at "2040-01-01 00:00:00" hq sign x --namespace plant --name x --version 1 2>err &&
	test_status 4 at "1970-01-02 00:00:00" hq sign x --namespace plant --name x --version 1 && test ! -e x.sig &&
	test_status 4 at "2040-01-01 00:00:00" hq repo adopt hq.out/root.json &&
	find hq/repo/metadata -type f -exec cksum {} + | sort >after && cmp before after &&
	as hq repo refresh --force && as hq repo verify
'

test_expect 'a box that was off for a while says so and goes on when told' '
	at "+20d" hq repo refresh >out && grep "signed timestamp" out &&
	test_status 4 at "+60d" hq repo refresh &&
	at "+60d" hq repo refresh --accept-clock >out && grep "signed snapshot" out && grep "signed 1 publisher" out &&
	at "+60d" hq repo verify && at "+60d" hq repo status &&
	test_status 1 at "+175d" hq repo status 2>err && grep "expire" err
'

test_expect 'a clock set back needs a word, and versions never run ahead by more than a day' '
	test_status 4 as hq repo refresh 2>err && grep "before the last signature" err &&
	test_status 4 at "+59d" hq repo refresh --force 2>err && grep "before the last signature" err &&
	test_status 4 as hq repo refresh --force --accept-clock 2>err && grep "more than a day ahead" err
'

test_expect 'by a clock of 1970 nothing has expired: whoever judges by it says so' '
	test_status 4 at "1970-01-02 00:00:00" hq repo status 2>err && grep "the clock says 1970.*before this program was built" err && grep "set the clock" err &&
	test_status 4 at "1970-01-02 00:00:00" hq repo verify 2>err && grep "the clock says 1970" err &&
	test_status 4 at "1970-01-02 00:00:00" hq repo export tree 2>err && grep "the clock says 1970" err && test ! -e tree &&
	test_status 1 at "1970-01-02 00:00:00" hq doctor >out && grep "^problem *clock *the clock says 1970" out &&
	test_status 1 at "2040-01-01 00:00:00" hq doctor >out && grep "^problem *repo *the clock says 2040.*after the last signature" out
'

test_done

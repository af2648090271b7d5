# For the tests that drive tuf-client against a repository and a server of their own (tuf/Rig.pm); read after lib.sh.
#
#	tuf_cases NAME		run tests/e2e/tuf/NAME.pl, which prints TAP, and end this test with its result
# shellcheck shell=sh

tuf_cases() {
	test_need perl openssl faketime
	TEST_DIR=$TEST_DIR perl -I"$TEST_SRC/tests/e2e/tuf" "$TEST_SRC/tests/e2e/tuf/$1.pl" >&3 2>&1 </dev/null
	# shellcheck disable=SC2034 # for lib.sh
	test_failed=$? test_finished=1
	exit
}

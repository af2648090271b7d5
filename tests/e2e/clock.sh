# Processes whose wall clock a test steps while they run, read after lib.sh. Time that passes is as it is: only
# CLOCK_REALTIME is faked, and each process has a clock of its own, a file that is read at every look.
#
#	clock_set NAME TIME	NAME's clock: "@2040-01-01 00:00:00" (and on from there), "+3d", "+0" (right), "+0 x1.5"
#	clock_start NAME CMD...	as test_start, under NAME's clock

clock_set() {
	printf '%s\n' "$2" >"$TEST_DIR/$1.clock.new" && chmod 644 "$TEST_DIR/$1.clock.new" &&
		mv "$TEST_DIR/$1.clock.new" "$TEST_DIR/$1.clock"
}

clock_preload=$(test_preload)
clock_start() {
	clock_name=$1
	shift
	test_start "$clock_name" "${test_own_clock:?lib.sh is read first}" env "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0" LD_PRELOAD="$clock_preload" \
		FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 FAKETIME_NO_CACHE=1 \
		FAKETIME_TIMESTAMP_FILE="$TEST_DIR/$clock_name.clock" "$@"
}

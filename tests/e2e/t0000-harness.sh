#!/bin/sh
# The harness itself: what passes, fails, is skipped, hangs or ends early is counted as that.
. "$(dirname "$0")/lib.sh"

# Write a test file that uses lib.sh, and run it through tests/run; out: all it says.
try() {
	mkdir -p fake/tests/e2e && cp "$TEST_SRC/tests/run" "$TEST_SRC/tests/own-network" fake/tests/ && cp "$TEST_SRC/tests/e2e/lib.sh" fake/tests/e2e/ &&
		: >>fake/tests/skips && {
		echo ". \"\$(dirname \"\$0\")/lib.sh\""
		cat
	} >fake/tests/e2e/t1-fake.sh &&
		sed -i '1i #!/bin/sh' fake/tests/e2e/t1-fake.sh && chmod +x fake/tests/e2e/t1-fake.sh &&
		fake/tests/run fake/tests/e2e/t1-fake.sh >out 2>&1
}

test_expect 'passing tests are counted' '
	printf "test_expect a true\ntest_expect b \"x=1\"\ntest_expect c \"test \\\$x = 1\"\ntest_done\n" | try &&
	grep "^3 passed, 0 failed, 0 skipped$" out
'
test_expect 'a failing test fails the run and shows its output' '
	! printf "test_expect a \"echo why; false\"\ntest_done\n" | try &&
	grep "why" out && grep "^0 passed, 1 failed, 0 skipped$" out
'
test_expect 'an early exit is not success' '
	! printf "test_expect a true\nexit 0\n" | try &&
	grep "Bail out" out && grep "^1 passed, 1 failed, 0 skipped$" out
'
test_expect 'an exit inside a test is not success' '
	! printf "test_expect a \"exit 0\"\ntest_done\n" | try && grep "0 passed, 1 failed" out
'
test_expect 'a test that hangs is ended' '
	! printf "test_expect a \"sleep 60\"\ntest_done\n" | TEST_TIMEOUT=1 try && grep "0 passed, [12] failed" out
'
test_expect 'a skip is allowed here, but in CI only when it is listed' '
	skipping="test_skip a \"no moon\"\ntest_done\n" &&
	printf "$skipping" | (unset CI && try) && grep "^0 passed, 0 failed, 1 skipped$" out &&
	! printf "$skipping" | CI=true try && grep "^0 passed, 1 failed, 0 skipped$" out &&
	echo "t1-fake: no moon" >fake/tests/skips &&
	printf "$skipping" | CI=true try && grep "^0 passed, 0 failed, 1 skipped$" out
'
test_expect 'a file that lacks a tool is skipped whole' '
	printf "test_need no-such-tool\ntest_expect a false\ntest_done\n" | (unset CI && try) &&
	grep "skipped t1-fake: no-such-tool is not installed" out
'
test_expect 'test_status wants exactly that status' '
	test_status 3 sh -c "exit 3" &&
	! test_status 3 sh -c "exit 1" &&
	test_status 0 true
'
test_expect 'background work is started, awaited and ended' '
	test_start bg sh -c "echo ready; trap \"exit 7\" TERM; while :; do sleep 0.1; done" &&
	test_alive bg &&
	test_wait 5 grep ready bg.log &&
	test_status 7 test_stop bg &&
	! test_alive bg &&
	test_start bg sleep 100 &&
	test_crash bg
'
test_expect 'nothing stays behind, not even a grandchild' '
	printf "test_expect a \"test_start bg sh -c \\\"sleep 54321 & wait\\\" && sleep 0.5\"\ntest_done\n" | try &&
	! ps -eo args | grep "^sleep 5432[1]"
'
test_expect 'a port is free and a byte is flipped' '
	test "$(test_port)" -gt 1023 &&
	printf abc >f && test_flip f 1 && test "$(od -An -tx1 f | tr -d " ")" = 619d63 &&
	! test_flip f 3
'
if command -v faketime >/dev/null 2>&1; then
	test_expect 'the clock can be moved' '
		test "$(test_at "2040-01-02 03:04:05" date +%Y-%m-%dT%H)" = 2040-01-02T03 &&
		test "$(test_at +400d date +%s)" -gt $(($(date +%s) + 34000000))
	'
	test_expect 'what a killed process of the same number has left does not stop that' '
		sh -c "echo left >/dev/shm/faketime_shm_\$\$ && echo left >/dev/shm/sem.faketime_sem_\$\$ &&
			exec \"\$@\"" sh "$test_own_clock" faketime -f +400d date +%s >out &&
		test "$(cat out)" -gt $(($(date +%s) + 34000000))
	'
else
	test_skip 'the clock can be moved' 'faketime is not installed'
fi
test_done

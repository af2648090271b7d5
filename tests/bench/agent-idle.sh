#!/bin/sh
# What an idle agent holds of memory: the proportional set size of its two processes, after an update. serve is ended
# before, for on a device nobody else shares the program and its libraries.
#
#	make && tests/bench/agent-idle.sh
. "$(dirname "$0")/../e2e/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq

# A name and a number of kB, from smaps_rollup of PID.
rollup() {
	awk -v who="$1" '/^(Pss|Rss|Pss_Anon|Private_Dirty):/ { n[$1] = $2 }
		END { printf "# %s pss %d kB (anonymous %d), rss %d kB\n", who, n["Pss:"], n["Pss_Anon:"], n["Rss:"] }' \
		"/proc/$2/smaps_rollup" >&3
}
pss() { awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"; }

test_expect 'a device that has had an update of 20 MB, and is idle' '
	fleet_site && fleet_serve && fleet_device 1 && head -c 20000000 /dev/urandom >big &&
	meshanics sign big --home hq --namespace plant --name big --version 1 &&
	meshanics rollout create plant/big/1 --home hq --all --waves 100 && test_wait 40 fleet_state 1 completed && sleep 5
'
test_expect 'both processes together hold at most 5 MB' '
	worker=$(meshanics agent status --home dev1 --json | jq .worker_pid) && agent=$(cat agent1.pid) && test_crash serve &&
	rollup supervisor "$agent" && rollup worker "$worker" && sum=$(($(pss "$agent") + $(pss "$worker"))) &&
	echo "# together $sum kB" >&3 && test $sum -le 5120
'
test_expect 'it ends cleanly' 'test_stop agent1'
test_done

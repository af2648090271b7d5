#!/bin/sh
# N real agents, one serve, and a relay between them that counts connections: how many come in the busiest second when
# all of them start at once, while the server is away, and when it is back. By hand; needs some 10 MB an agent.
# usage: tests/bench/herd.sh [N [INTERVAL]]	(60 agents, a heartbeat every 20 s)
set -- "${1:-60}" "${2:-20}"
herd=$1 interval=$2
shift 2
. "$(dirname "$0")/../e2e/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq

badnet=$(dirname "$(command -v meshanics)")/tests/tools/badnet
weather() { echo "$1" >api.rule.new && mv api.rule.new api.rule; }
# busiest FROM TO: connections that began in between, and those of the busiest second.
busiest() {
	awk -v from="$1" -v to="$2" '{ at = substr($5, 4) + 0 }
		at >= from && at < to { n[at]++; all++ }
		END { for (i in n) if (n[i] > top) top = n[i]; printf "%d connections, %d in the busiest second\n", all, top }' api.conns
}
each() {
	i=0
	while [ $i -lt "$herd" ]; do
		i=$((i + 1))
		"$@" $i || return 1
	done
}
enrol() {
	meshanics agent enroll --home "dev$1" --token-file token >/dev/null &&
		jq --arg d "https://127.0.0.1:$(cat api.port)" ".device_url = \$d" "dev$1/agent/identity.json" >identity &&
		cat identity >"dev$1/agent/identity.json"
}
run() { test_start "agent$1" meshanics agent run --home "dev$1"; }
end() { test_stop "agent$1"; }
memory() {
	for f in agent*.pid; do
		p=$(cat "$f")
		cat "/proc/$p/smaps_rollup" "/proc/$(pgrep -P "$p")/smaps_rollup" 2>/dev/null
	done | awk -v n="$herd" '/^Pss:/ { s += $2 } END { printf "%d KiB an agent, both processes (proportional)\n", s / n }'
}
heard() { test "$(meshanics device list --home hq --presence online --json | jq ".devices | length")" = "$herd"; }

{
	fleet_site && FLEET_HEARTBEAT=${interval}s fleet_serve && weather pass &&
		test_start api "$badnet" middle api.port api.rule api.conns "$FLEET_DEVICE" && test_wait 10 test -s api.port &&
		meshanics enroll token create --home hq --root signed/root.json --name-prefix press --uses "$herd" --out token &&
		each enrol && each run && test_wait 120 heard && sleep $((2 * interval)) && memory >&3 && each end
} >setup.log 2>&1 || {
	tail -n 20 setup.log >&3
	test_done
}
sleep 1
start=$(date +%s)
each run
sleep $((interval + 5))
weather pass	# ends what stands, so that it is written down
sleep 2
echo "start of $herd agents at once, heartbeat $interval s: $(busiest "$start" $((start + interval + 5)))" >&3
for away in 60 300; do
	weather rst
	start=$(date +%s)
	sleep $away
	end=$(date +%s)
	weather pass
	echo "away for $away s: $(busiest "$start" "$end")" >&3
	test_wait 400 heard
	sleep $((interval + 5))
	back=$(date +%s)
	weather pass
	sleep 1
	echo "back: $(busiest "$end" "$back") in $((back - end)) s" >&3
done
test_done

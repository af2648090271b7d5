#!/bin/sh
# Random, changed and replayed datagrams, many of them: a node neither grows nor stops serving.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/mesh.sh"

# `make soak` asks for ten million.
: "${FLOOD_PACKETS:=300000}"
if [ "${WALK_ALL:-}" = 1 ]; then FLOOD_PACKETS=10000000; fi
FLOOD=$TEST_SRC/build/tests/tools/meshflood
[ -x "$FLOOD" ] || FLOOD=$TEST_SRC/build/san/tests/tools/meshflood

# Two nodes that see each other by the wire alone.
# shellcheck disable=SC2154 # mesh_ns is mesh.sh's
node_pid() { ip netns pids "$mesh_ns-$1" | while read -r p; do tr '\0' ' ' <"/proc/$p/cmdline" | grep -q 'meshlan run' && echo "$p"; done; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(node_pid "$1")/status"; }

setup() {
	clear_all
	lan wire && host good bad box &&
	plug good wire 192.0.2.1/24 && plug bad wire 192.0.2.2/24 && plug box wire 192.0.2.3/24 &&
	found good net --never-expires --caps mesh-route && join bad good net --caps mesh-route --name net &&
	drop wire good bad && drop wire bad good &&
	mkfifo flood.in && test_start flood ip netns exec "$mesh_ns-box" sh -c "exec '$FLOOD' 192.0.2.3:7784 192.0.2.1:7784 \
		$FLOOD_PACKETS 7 <flood.in >flood.out" && exec 9>flood.in &&
	up good --no-discovery && up bad --no-discovery --peer 192.0.2.3:7784 &&
	reaches 20 bad good
}
sent() { grep -q '^sent' flood.out; }

test_expect 'two nodes talk by a wire that remembers' '
	setup && io bad ping "$(v4 good)" 20 56 10
'
test_expect 'it throws back what it remembers, as it was, changed, or noise' '
	rss good >before && echo go >&9 && test_wait 600 sent && cat flood.out && cat before
'
test_expect 'the node serves as before' '
	reaches 20 bad good && io bad ping "$(v4 good)" 20 56 10 >out && cat out && grep -q "^lost 0" out
'
test_expect 'and has not grown' '
	rss good >after && cat before after && test "$(cat after)" -le $(($(cat before) + 2048))
'
test_expect 'what it saw was not authentic, and it says so' '
	status good >status.json && jq ".networks[0].figures | {not_authentic, strangers}" status.json >figures &&
	cat figures && test "$(jq .not_authentic figures)" -gt 1000
'
exec 9>&-
test_done

#!/bin/sh
# What takes minutes of the agent on bad networks: silence, half-open connections, a trickle. About ten minutes, all of it
# waiting; `make soak` runs it.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
. "$TEST_SRC/tests/e2e/badnet.sh"
test_need jq

# silent RULE WHY: the control connection, for three minutes
silent() {
	: >agent1.log
	: >api.conns
	weather api "$1" && test_wait 200 grep "agent.talk.*$2" agent1.log && sleep 120 && test "$(grep -c "" api.conns)" -le 20 &&
		test_alive agent1 && weather api pass && test_wait 330 content && grep "agent.talk.*back=true" agent1.log
}

test_expect 'a device whose ways lead through two bad middles' '
	fleet_site && fleet_serve && middle api "$FLEET_DEVICE" && middle repo "$FLEET_REPO" && fleet_enroll 1 &&
	detour "$(cat api.port)" "$(cat repo.port)" &&
	test_start agent1 meshanics agent run --home dev1 && test_wait 20 status && offer 1000 && arrived 60
'
test_expect 'a payload that stands still for a minute is given up, and resumed' '
	offer 400000 && weather repo "stall 200000" && test_wait 200 grep "agent.transfer.*nothing moved for 60 s" agent1.log &&
	weather repo pass && arrived 200
'
test_expect '20 bytes a second are given up' '
	: >agent1.log && offer 400000 && weather repo "crawl 50000" &&
	test_wait 300 grep "agent.transfer.*slower than 64 bytes per second" agent1.log && weather repo pass && arrived 300
'
test_expect '100 bytes a second are a network' '
	offer 3000 && weather repo "slow 100" && arrived 600 && test "$(grep -c "agent.transfer" agent1.log)" -le 3 && weather repo pass
'
test_expect 'a black hole in the place of the control plane' 'silent hole "TLS: out of time"'
test_expect 'a control connection that is half open' 'silent "stall 4000" "the request took longer than it may"'
test_expect 'a proxy that hangs' '
	test_stop agent1 && cat real >dev1/agent/identity.json && weather proxy hang &&
	test_start proxy "$badnet" proxy proxy.port proxy.rule proxy.conns && test_wait 10 test -s proxy.port &&
	test_start agent1 meshanics agent run --home dev1 --proxy "http://127.0.0.1:$(cat proxy.port)" &&
	test_wait 100 grep "agent.talk.*proxy 127.0.0.1.*out of time" agent1.log && weather proxy pass && test_wait 330 content
'
test_expect 'all of it ends cleanly' 'test_stop agent1 && test_stop serve'
test_done

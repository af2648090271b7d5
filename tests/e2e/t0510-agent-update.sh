#!/bin/sh
# Updates on one device: healthy, rolled back, refused, resumed, reverted; each told to the control plane.
. "$(dirname "$0")/lib.sh"
. "$TEST_SRC/tests/e2e/fleet.sh"
test_need jq perl curl

status() { meshanics agent status --home dev1 --json; }
# outcome VERSION STATE: the agent's log has this end of plant/plc/VERSION
outcome() { grep "agent.update.*state=$2 .*artifact=plant/plc/$1 " agent1.log; }
bytes_served() {
	curl -sS --cacert server-ca.pem -H "Authorization: Bearer $(cat root.token)" "https://127.0.0.1:$FLEET_API/metrics" |
		sed -n 's/^meshanics_repository_bytes_total //p'
}
# http.pl STATUS FILE: answers every request with STATUS, writes its port to FILE.
cat >http.pl <<'END'
use IO::Socket::INET;
my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1") or die;
open(my $p, ">", "$ARGV[1].new") or die;
print $p $s->sockport;
close($p);
rename("$ARGV[1].new", $ARGV[1]);
while (my $c = $s->accept) {
	while (defined(my $l = <$c>)) { last if $l eq "\r\n" }
	print $c "HTTP/1.1 $ARGV[0]\r\nContent-Length: 2\r\n\r\nok";
}
END

test_expect 'a site, a device' '
	fleet_site && fleet_serve && fleet_device 1 && test_wait 20 status &&
	meshanics ca show --home hq --json | jq -r ".cas[] | select(.kind == \"server\") | .certificate" >server-ca.pem &&
	meshanics operator add root --role admin --home hq --out root.token
'
test_expect 'the first version, with a tcp probe that passes' '
	fleet_sign 1.0 --probe-tcp "127.0.0.1:$FLEET_API" && fleet_rollout 1.0 && test_wait 30 fleet_state 1 completed &&
	fleet_current 1 "plc 1.0" && status >out &&
	test_json ".update == null and .artifacts[0].version == \"1.0\" and .artifacts[0].mark == .artifacts[0].release" out &&
	test "$(outcome 1.0 healthy | wc -l)" = 1
'
test_expect 'a second one, with an http probe that passes' '
	test_start web perl http.pl "200 OK" port && test_wait 10 test -s port &&
	fleet_sign 2.0 --probe-http "http://127.0.0.1:$(cat port)/health" && fleet_rollout 2.0 &&
	test_wait 30 fleet_state 2 completed && fleet_current 1 "plc 2.0" && status >out &&
	test_json ".artifacts[0].previous == \"1.0\"" out && test -s dev1/agent/artifacts/plant/plc/1.0/plc
'
test_expect 'a tcp probe that nobody answers: back to 2.0, with 1.0 still kept' '
	fleet_sign 3.0 --probe-tcp 127.0.0.1:1 --probe-attempts 2 --probe-delay 0 && fleet_rollout 3.0 &&
	test_wait 30 outcome 3.0 rolled_back && fleet_current 1 "plc 2.0" && test ! -e dev1/agent/artifacts/plant/plc/3.0 &&
	test -s dev1/agent/artifacts/plant/plc/1.0/plc && status >out &&
	test_json ".artifacts[0] | .version == \"2.0\" and .previous == \"1.0\"" out &&
	test_wait 20 fleet_state 3 halted && outcome 3.0 rolled_back | grep "tcp probe failed 2 times"
'
test_expect 'an http probe that answers 503: the same' '
	rm port && test_start sick perl http.pl "503 Sick" port && test_wait 10 test -s port &&
	fleet_sign 3.1 --probe-http "http://127.0.0.1:$(cat port)/" --probe-attempts 1 --probe-delay 0 && fleet_rollout 3.1 &&
	test_wait 30 outcome 3.1 rolled_back && fleet_current 1 "plc 2.0" && outcome 3.1 rolled_back | grep 503
'
test_expect 'a lower release is refused, in words; a signed downgrade from the mark is taken' '
	mark=$(status | jq ".artifacts[0].mark") &&
	fleet_sign 3.2 --release 1 && fleet_rollout 3.2 && test_wait 20 outcome 3.2 failed &&
	outcome 3.2 failed | grep -i release && fleet_current 1 "plc 2.0" &&
	fleet_sign 3.3 --release 1 --downgrade-from "$mark" && fleet_rollout 3.3 && test_wait 20 outcome 3.3 healthy &&
	fleet_current 1 "plc 3.3" && status >out && test_json ".artifacts[0].mark == 1" out
'
test_expect 'a download is resumed after kill -9: what is here is not fetched twice' '
	test_crash agent1 && head -c 60000000 /dev/urandom >big &&
	meshanics sign big --home hq --namespace plant --name big --version 1 &&
	meshanics rollout create plant/big/1 --home hq --all --waves 100 && sha=$(sha256sum big | cut -d " " -f 1) &&
	head -c 40000000 big >dev1/agent/work/$sha.part &&
	chown --reference=dev1/agent/work "dev1/agent/work/$sha.part" && before=$(bytes_served) &&
	test_start agent1 meshanics agent run --home dev1 &&
	test_wait 40 cmp big dev1/agent/artifacts/plant/big/current/big && after=$(bytes_served) &&
	test $((after - before)) -lt 21000000 && test $((after - before)) -ge 20000000 && test ! -e dev1/agent/work/$sha.part
'
test_expect 'a flipped byte in the repository is refused, reported, and not asked for without end' '
	fleet_sign 4.0 && sha=$(sha256sum plc-4.0 | cut -d " " -f 1) && test_stop serve &&
	blob=$(find hq/repo -type f -name "*$sha*" | head -n 1) && test -n "$blob" && chmod u+w "$blob" && test_flip "$blob" 1 &&
	fleet_serve && fleet_rollout 4.0 && test_wait 40 outcome 4.0 failed && outcome 4.0 failed | grep "SHA-256" &&
	fleet_current 1 "plc 3.3" && grep "agent.alarm.*plant/plc/4.0" agent1.log &&
	test "$(grep -c "agent.transfer.*SHA-256" agent1.log)" -le 4
'
test_expect 'abort with revert takes the device back to what it kept' '
	fleet_sign 5.0 --release 50 && fleet_rollout 5.0 && test_wait 20 outcome 5.0 healthy && fleet_current 1 "plc 5.0" &&
	n=$(meshanics rollout list --home hq --json | jq "[.rollouts[].id] | max") &&
	meshanics rollout abort "$n" --revert --home hq && test_wait 20 outcome 5.0 rolled_back && fleet_current 1 "plc 3.3"
'
test_expect 'a revoked device hears 403 at the next heartbeat; nothing is wiped' '
	name=$(status | jq -r .device) && meshanics device revoke "$name" --reason lost --home hq &&
	test_wait 20 grep "agent.talk.*status=403" agent1.log && test -s dev1/agent/identity.json && fleet_current 1 "plc 3.3" &&
	test_alive agent1 && status >out && test_json ".last_error != \"\"" out
'
test_expect 'it ends cleanly' 'test_stop agent1 && grep "agent.stopped clean=true" agent1.log && test_stop serve'
test_done

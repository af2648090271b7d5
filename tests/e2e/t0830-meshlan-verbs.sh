#!/bin/sh
# The verbs of a mesh that runs: two nodes in two network namespaces, asked who is there, reached, and allowed.
. "$(dirname "$0")/lib.sh"

test_need_root
test_need curl ip jq setpriv
[ -c /dev/net/tun ] || {
	echo '1..0 # SKIP no /dev/net/tun'
	test_finished=1
	exit 0
}

NS=mv$$
# shellcheck source=tests/e2e/two-ends.sh
. "$TEST_SRC/tests/e2e/two-ends.sh"
at() {
	ns=$1
	shift
	ip netns exec "$NS-$ns" "$@"
}
# The wire with one family: where both are, a path goes over to the faster one, and the endpoint told here is of IPv4.
wire_ipv4() {
	wire && ip -n "$NS-a" addr del fd09::1/64 dev wa && ip -n "$NS-b" addr del fd09::2/64 dev wb
}
# mesh a|b VERB OPERAND...
mesh() {
	mesh_w=$1
	shift
	at "$mesh_w" meshanics meshlan "$@" --home "$mesh_w"
}
start_node() {
	start_w=$1
	shift
	test_start "$start_w" ip netns exec "$NS-$start_w" meshanics meshlan run --home "$start_w" --config "$start_w.yaml" \
		--no-dns "$@" && test_wait 10 mesh "$start_w" status
}
# one FILTER: of the one network that status tells of on node a.
one() {
	mesh a status --json >status.json && test_json ".networks[0] | $1" status.json
}

test_expect 'no mesh runs: exit 4, and what to do' '
	: >b.yaml &&
	for v in status names "ping nas" "explain nas tcp:22"; do
		# shellcheck disable=SC2086 # words
		test_status 4 meshanics meshlan $v --home a 2>err && grep "^meshanics: no mesh runs in " err &&
		grep "^hint: start it with .meshanics meshlan run." err || return 1
	done
'

test_expect 'run refuses what it cannot mean' '
	test_status 2 meshanics meshlan run --home a --name "Not A Name" 2>err && grep "name" err &&
	test_status 2 meshanics meshlan run --home a --listen nowhere 2>err && grep "nowhere" err &&
	test_status 2 meshanics meshlan run --home a --mtu 100 2>err && grep "1280" err &&
	test_status 2 meshanics meshlan run --home a --dns-suffix "a b" 2>err &&
	test_status 2 meshanics meshlan run --home a --dns-upstream 192.0.2.1 --dns-upstream 192.0.2.2 \
		--dns-upstream 192.0.2.3 --dns-upstream 192.0.2.4 2>err && grep "option --dns-upstream: more than 3 resolvers" err &&
	test_status 2 meshanics meshlan run --home a --forward printer 2>err && grep "printer.* has no target" err &&
	test_status 2 meshanics meshlan run --home a --forward =192.168.1.50 2>err && grep "has no name" err &&
	test_status 2 meshanics meshlan run --home a extra
'

test_expect 'forwards of the configuration are a list of sections' '
	printf "meshlan:\n  forwards:\n    - name: Office Printer\n      target: 10.9.0.77\n" >a.yaml &&
	meshanics config check --config a.yaml &&
	meshanics config show --config a.yaml --home a | grep "^meshlan.forwards  *Office Printer=10.9.0.77  *file" &&
	printf "meshlan:\n  forwards:\n    - name: x\n      taget: 10.9.0.77\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "bad.yaml:4:7: unknown key .meshlan.forwards.taget.$" err && grep "did you mean .target." err &&
	printf "meshlan:\n  forwards:\n    - name: x\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "bad.yaml:3:7: this one of .meshlan.forwards. has no .target.$" err &&
	MESHANICS_FORWARD=printer test_status 2 meshanics meshlan run --home a 2>err &&
	grep "environment variable MESHANICS_FORWARD" err
'

test_expect 'not enabled: it ends well, and does nothing' '
	meshanics meshlan run --home off --no-enabled 2>err && grep "meshlan.disabled" err && test ! -e off/mesh &&
	printf "meshlan:\n  enabled: false\n" >off.yaml && meshanics meshlan run --home off --config off.yaml
'

test_expect 'a mesh without networks says what is missing' '
	wire_ipv4 && start_node a --name nas && mesh a status >out && cat out && grep "^nas runs since" out &&
	grep "no networks are here; .meshanics mgmt-keys add." out &&
	mesh a status --json >status.json && test_json ".running and .networks == []" status.json &&
	test_status 4 mesh a run 2>err && grep "another mesh process runs" err
'

test_expect 'two nodes find each other, and status tells who is there' '
	meshanics mgmt-keys add --home a --name "Home network" --never-expires --allow tcp:22 &&
	meshanics mgmt-keys show "Home network" --home a | meshanics mgmt-keys add --home b --key-file - &&
	start_node b --name laptop && test_wait 10 one ".peers[0].state == \"connected\"" &&
	one ".network == \"Home network\" and .label == \"home-network\" and .running and .interface == \"mesh0\"" &&
	one ".self.name == \"nas\" and (.self.ipv4 | startswith(\"198.1\")) and (.self.ipv6 | startswith(\"fd12:\"))" &&
	one ".peers[0] | .name == \"laptop\" and .path == \"lan\" and .endpoint == \"10.9.0.2:7784\" and .mtu > 1000" &&
	one "(.peers[0].node | length) == 32 and .peers[0].handshake_ms_ago >= 0 and .peers[0].via == null" &&
	one ".rules == [\"tcp:22\"] and .echo and .port_ipv4 == 7784 and .generation == 1" &&
	one ".warnings == []" &&
	mesh a status >out && cat out && grep "^laptop .*LAN 10.9.0.2:7784 " out && grep "^lets in  *tcp:22$" out &&
	grep "^key  *generation 1, never expires$" out && one ".peers[0].generation == 1" &&
	mesh a status --verbose >out && grep "^laptop .* fd12:.*  1$" out
'

test_expect 'ping: path, endpoint, round trip, MTU' '
	mesh a ping laptop --count 2 >out && cat out &&
	test "$(grep -c "^laptop (198.*): [0-9.]* ms, LAN 10.9.0.2:7784, MTU 1[0-9]*$" out)" = 2 && grep "^2 of 2 answered" out &&
	mesh a ping laptop.mesh. --count 1 && mesh a ping LAPTOP.home-network.mesh --count 1 &&
	mesh a ping " Laptop" --count 1 &&
	mesh a ping laptop --ipv6 --count 1 | grep "^laptop (fd12:" &&
	one ".peers[0].received_packets > 0 and .peers[0].sent_bytes > 0" && v4=$(jq -r ".networks[0].peers[0].ipv4" status.json) &&
	test_status 2 meshanics policy allow tcp:1 --from "$v4" --home a 2>err && grep "^hint: that is .laptop.: give the name" err &&
	mesh a ping "$v4" --count 1 && mesh a ping "$(jq -r ".networks[0].peers[0].node[0:8]" status.json)" --count 1 &&
	mesh a ping nas --count 1 | grep "this node$" &&
	mesh a ping laptop --count 1 --json >ping.json &&
	test_json ".sent == 1 and .answered == 1 and (.pings[0] | .answered and .rtt_us > 0 and .path == \"lan\" and .why == null)" ping.json
'

test_expect 'ping says why not' '
	test_status 1 mesh a ping nobody 2>err && grep "nobody is called .nobody." err &&
	test_status 1 mesh a ping lapto 2>err && grep "did you mean .laptop.?" err &&
	test_status 1 mesh a ping 10.1.2.3 2>err && grep "10.1.2.3 is in no network" err &&
	test_status 1 mesh a ping 0000000000 2>err &&
	v4=$(jq -r ".networks[0].ipv4_range" status.json) && test_status 1 mesh a ping "${v4%/*}" 2>err && grep "nobody has" err
'

test_expect 'explain: the rule that decides, at either end' '
	mesh a explain nas tcp:22 --from laptop >out && cat out && grep "^allowed: laptop to nas on tcp port 22, by rule 1 (tcp:22" out &&
	mesh a explain nas tcp:445 --from laptop >out && grep "^denied: laptop to nas on tcp port 445, since no rule allows it" out &&
	mesh a explain nas icmp --from laptop | grep "^allowed:" && mesh a explain nas udp:22 | grep "^denied: any other member" &&
	mesh b explain nas tcp:22 >out && cat out && grep "^here: free to go out: .* the rules of nas decide$" out &&
	grep "^nas: allowed: laptop to nas on tcp port 22, by rule 1 (tcp:22" out &&
	mesh b explain nas tcp:23 >out && grep "^nas: denied: no rule there allows it$" out &&
	mesh b explain nas udp:22 --json >e.json && test_json ".end == \"out\" and .allowed == false and .path == \"lan\"" e.json &&
	! at b curl -s -m 1 "http://$(jq -r ".networks[0].forwards[0].ipv4" status.json):631/" &&
	mesh b explain office-printer tcp:631 >out 2>err && cat out err && grep "^here: .* the rules of nas decide$" out &&
	grep "^nas, in front of office-printer: denied: " out && ! grep "^now:" out && grep "meshanics policy allow tcp:631 --to office-printer$" err &&
	mesh b explain "Office Printer" tcp:631 | grep "^nas, in front of office-printer: denied: " &&
	mesh b explain office-printer icmp >out && cat out && grep "^nas, in front of office-printer: allowed: " out &&
	mesh a explain nas tcp:445 --from laptop --json >e.json &&
	test_json ".end == \"in\" and .allowed == false and .from == \"laptop\" and .what == \"tcp:445\" and .path == \"lan\"" e.json &&
	test_status 2 mesh a explain nas tcp:1-9 2>err && grep "more than one port" err &&
	test_status 2 mesh a explain office printer tcp:631 2>err && grep "^hint: usage: .*; what has spaces wants quotes$" err &&
	test_status 2 mesh a explain nas tcp && test_status 2 mesh a explain nas &&
	test_status 2 mesh a explain nas tcp:22 --from nas && test_status 1 mesh a explain nas tcp:22 --from nobody &&
	test_status 2 mesh a explain laptop tcp:22 --from laptop 2>err && grep "neither end" err
'

test_expect 'a rule that comes decides from then on' '
	meshanics policy allow tcp:445 --home a && test_wait 5 one ".rules == [\"tcp:22\", \"tcp:445\"]" &&
	mesh a explain nas tcp:445 --from laptop | grep "^allowed:"
'

test_expect 'names, also for a hosts file' '
	mesh a names >out && cat out && grep "^laptop.mesh  *Home network  *198" out && grep "^office-printer.mesh .* device$" out &&
	mesh b names --hosts >hosts && cat hosts && grep "^198.* nas.mesh nas.home-network.mesh$" hosts && grep "^fd12:.* nas.mesh " hosts &&
	mesh a names --json >names.json && test_json ".suffix == \"mesh\" and ([.names[].name] | index(\"laptop\") != null)" names.json &&
	test_status 2 mesh a names --hosts --json
'

test_expect 'forwards of the configuration and live ones' '
	one ".forwards == [{name: \"office-printer\", ipv4: .forwards[0].ipv4, ipv6: .forwards[0].ipv6, target: \"10.9.0.77\",
		badge: \"config\"}] and .forwards[0].ipv4 != null" &&
	mesh b status >out && cat out && grep "^  office-printer " out &&
	meshanics forward add camera 10.9.0.78 --home a && test_wait 5 one ".forwards | length == 2" &&
	mesh a status >out && cat out && grep "^camera .* 10.9.0.78 .* hand" out && grep "^office-printer .* 10.9.0.77 .* config" out
'

test_expect 'watch goes on until it is told to stop' '
	test_start watch ip netns exec "$NS-a" meshanics meshlan status --watch --interval 1s --json --home a &&
	lines() { test "$(wc -l <watch.log)" -ge 2; } && test_wait 10 lines && test_alive watch && head -n 1 watch.log >first &&
	test_json ".running" first && test_stop watch; test_status 2 mesh a status --interval 1s
'

test_expect 'a node that is off: ping says where it was called' '
	test_crash b && ip -n "$NS-b" link set wb down && test_status 1 mesh a ping laptop --count 1 --timeout 1s >out 2>err && cat out err &&
	grep "^meshanics: no answer from .laptop.: " err && mesh a explain laptop tcp:22 >out 2>err && cat out err &&
	grep "^laptop: \(no answer when it was asked\|not reached, so it cannot be asked\)$" out &&
	grep "ask there: meshanics meshlan explain laptop tcp:22 --from nas$" err
'

test_expect 'and is back when it is' '
	ip -n "$NS-b" link set wb up && start_node b --name laptop && test_wait 10 mesh a ping laptop --count 1
'

test_expect 'two of one name: who has it, and who lost it' '
	test_stop b && start_node b --name nas && test_wait 10 one "[.warnings[].kind] == [\"name\"]" &&
	mesh a status >out && cat out && grep "^warning: two call themselves .nas.: it means node " out && grep "^nas ([0-9a-f]\{4\}) " out &&
	mesh b status >out && cat out && grep "^warning: .nas. is not reached by that name: node .* took it earlier$" out &&
	mesh b names | grep "^nas.mesh .* not reached by it: node " && mesh b ping nas --count 1
'

test_expect 'a user who is not root hears that the mesh of this machine is' '
	mkdir user && chown 65534 user && chmod 755 . &&
	user() { setpriv --reuid 65534 --clear-groups env -u MESHANICS_HOME -u XDG_STATE_HOME -u XDG_CONFIG_HOME HOME="$TEST_DIR/user" \
		meshanics "$@"; } &&
	user mgmt-keys add --name t 2>err && cat err &&
	grep "^meshanics: kept in .$TEST_DIR/user/.local/state/meshanics.; the service of this machine reads ./var/lib/meshanics.: " err &&
	test_status 4 user meshlan status 2>err && grep "^hint: run this as root: .* in ./var/lib/meshanics.$" err &&
	meshanics mgmt-keys add --name t --home asked 2>err && ! grep /var/lib err
'

test_expect 'nobody else may ask' '
	chmod 755 . a && test_status 3 setpriv --reuid 65534 --clear-groups meshanics meshlan status --home a 2>err && cat err &&
	grep "only root may ask the mesh" err && grep "^hint: run this as root" err
'

test_expect 'without an interface: said once, and the node goes on' '
	test_stop b && start_tunless() {
		test_start b ip netns exec "$NS-b" setpriv --bounding-set=-all --inh-caps=-all meshanics meshlan run --home b \
			--config b.yaml --no-dns --name laptop
	} && start_tunless && test_wait 10 mesh b status && mesh b status --json >status.json &&
	test_json ".networks[0] | .interface == null and ([.warnings[].kind] | index(\"interface\") != null)" status.json &&
	test "$(grep -c "^warn mesh.warning" b.log)" = 1 && test_wait 10 one ".peers[0].state == \"connected\"" &&
	mesh b status | grep "^warning: no interface, so nothing here reaches the mesh or is reached in it: .*; run it as root" &&
	test_status 1 mesh b ping nas --count 1 2>err && cat err && grep "no interface of the mesh" err
'

test_expect 'nor without /dev/net/tun, and status says what to do' '
	test_stop b && test_start b ip netns exec "$NS-b" unshare --mount sh -c "mount -t tmpfs none /dev/net &&
		exec meshanics meshlan run --home b --config b.yaml --no-dns --name laptop --listen [::1]:9000" && test_wait 10 mesh b status &&
	grep "^info mesh.network .* interface=none port=9000$" b.log &&
	mesh b status | grep "^warning: no interface, .*: cannot open ./dev/net/tun.: No such file or directory; .modprobe tun. makes it; "
'

# The rules are taken in after it, and say nothing about it.
test_expect 'a file that cannot be read is warned of for as long as it cannot' '
	test_stop b && meshanics policy allow tcp:9 --to nothere --home b && for d in b/mesh/networks/*; do
		(umask 077 && echo "no node" >"$d/evicted"); done &&
	start_node b --name laptop && test_wait 10 mesh b status --json >status.json &&
	mesh b status --json >status.json && test_json "[.networks[0].warnings[].kind] | index(\"rules\") != null and
		index(\"waiting\") != null" status.json && mesh b status | grep "evicted.: line 1"
'

test_expect 'each mistake of the configuration is told' '
	printf "meshlan:\n  peers: [nosuch.invalid:7784]\n  forwards:\n" >c.yaml &&
	for f in "p 127.0.0.1" "q printer" "r 10.9.0.80" "r 10.9.0.81" "s 10.9.0.82 nosuch"; do
		# shellcheck disable=SC2086 # words
		set -- $f && printf "    - {name: %s, target: %s%s}\n" "$1" "$2" "${3:+, network: $3}" >>c.yaml || return 1
	done && cp b.yaml b.former && cp c.yaml b.yaml && test_stop b && start_node b --name laptop && mesh b status >out && cat out &&
	for f in p q r; do grep "^warning: .*forward .$f. of the configuration: " out || return 1; done &&
	grep "^warning: forward .s. of the configuration is for network .nosuch., which is not here; " out &&
	unknown() { mesh b status | grep "^warning: peer .nosuch.invalid. of the configuration has no address now: "; } &&
	test_wait 20 unknown && grep "^warn mesh.peers .*nosuch.invalid" b.log && grep "^warn mesh.forward .*nosuch" b.log && mv b.former b.yaml
'

test_expect 'it ends as it should' '
	test_stop b && test_stop a && grep "mesh.stopped" a.log && ! ip -n "$NS-a" link show dev mesh0
'

unwire
test_done

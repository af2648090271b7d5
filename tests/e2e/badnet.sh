# A bad network for tests of the agent on dev1, read after fleet.sh: tests/tools/badnet by name.
#
#	weather NAME RULE	from now on; what stands through a middle or proxy is cut
#	middle NAME PORT	a relay to PORT: NAME.port, NAME.conns (its log)
#	detour DEVICE REPOSITORY	dev1 finds its control plane at these ports
#	offer BYTES		publish and roll out one more version of plant/big, as in `payload`
#	arrived SECONDS		that version runs
#	status, content		what the agent says; that it has nothing to complain of
#	outcome PATH STATE	the agent's log has this end of plant/PATH
#	told PATH STATE [WHY]	the control plane has heard of it

# shellcheck disable=SC2034 # for the tests
badnet=$(dirname "$(command -v meshanics)")/tests/tools/badnet
version=0

weather() { echo "$2" >"$1.rule.new" && mv "$1.rule.new" "$1.rule"; }
middle() {
	weather "$1" pass && test_start "$1" "$badnet" middle "$1.port" "$1.rule" "$1.conns" "$2" && test_wait 10 test -s "$1.port"
}
detour() {
	cp dev1/agent/identity.json real &&
		jq --arg d "https://127.0.0.1:$1" --arg r "https://127.0.0.1:$2" '.device_url = $d | .repository_url = $r' real >detoured &&
		cat detoured >dev1/agent/identity.json
}
offer() {
	version=$((version + 1))
	head -c "$1" /dev/urandom >payload && meshanics sign payload --home hq --namespace plant --name big --version $version &&
		meshanics rollout create plant/big/$version --home hq --all --waves 100
}
status() { meshanics agent status --home dev1 --json; }
content() { status >out && test_json '.last_error == ""' out; }
outcome() { grep "agent.update.*state=$2 .*artifact=plant/$1 " agent1.log; }
arrived() { test_wait "$1" outcome big/$version healthy && cmp payload dev1/agent/artifacts/plant/big/current/big; }
told() {
	sqlite3 -readonly hq/control/meshanics.db \
		"SELECT 'told ' || reason FROM transitions WHERE artifact = 'plant/$1' AND state = '$2'" | grep "^told .*${3:-}"
}

# A whole small fleet for end-to-end tests, read after lib.sh: keys, ceremony, repository, CAs, serve, devices.
#
#	fleet_site [SITE [ARG...]]	offline keys in off/, a repository in hq/ (repo init ARG...) with publisher `plant`,
#				signed/ has root and targets
#	fleet_serve [ARG...]	serve on free ports of 127.0.0.1, FLEET_HEARTBEAT (1s); FLEET_API, FLEET_REPO, FLEET_DEVICE, FLEET_ENROLL: ports
#	fleet_device N		enrol devN by token and run its agent
#	fleet_sign VERSION [ARG...]	publish plant/plc/VERSION, a file that says VERSION
#	fleet_rollout VERSION [ARG...]	roll it out to all, at once
#	fleet_state N STATE	rollout N is in that state
#	fleet_current N TEXT	devN runs the plc that says TEXT

fleet_site() {
	chmod 711 "$TEST_DIR" || return 1	# an agent's worker is another user when root runs the tests
	for who in root1 root2 targets1; do
		meshanics key generate $who --home off --unsealed || return 1
	done
	fleet_v=${1:-main}
	[ $# -eq 0 ] || shift
	meshanics repo init --home hq --site "$fleet_v" --publisher 'plant:plant/*/*' --output online-keys.json "$@" || return 1
	meshanics ceremony new --home off --online-keys online-keys.json --root-key off/keys/root1.pub \
		--root-key off/keys/root2.pub --root-threshold 2 --targets-key off/keys/targets1.pub --targets-threshold 1 \
		--output request.json || return 1
	digits=$(meshanics ceremony status request.json --home off --json | jq -r .request | cut -c 1-16)
	for who in root1 root2 targets1; do
		meshanics ceremony sign request.json --home off --key $who --fingerprint "$digits" --output $who.answer ||
			return 1
	done
	mkdir -p signed &&
		meshanics ceremony finish request.json root1.answer root2.answer targets1.answer --home off --output signed &&
		meshanics repo adopt --home hq signed/root.json signed/targets.json &&
		meshanics ca init --home hq
}

fleet_serve() {
	rm -f ready
	test_start serve meshanics serve --home hq --public-name 127.0.0.1 --heartbeat "${FLEET_HEARTBEAT:-1s}" --ready-file ready \
		--api-listen "127.0.0.1:${FLEET_API:-0}" --repository-listen "127.0.0.1:${FLEET_REPO:-0}" \
		--device-listen "127.0.0.1:${FLEET_DEVICE:-0}" --enroll-listen "127.0.0.1:${FLEET_ENROLL:-0}" "$@" || return 1
	test_wait 30 test -s ready || return 1
	FLEET_API=$(jq .api_port ready) FLEET_REPO=$(jq .repository_port ready)
	FLEET_DEVICE=$(jq .device_port ready) FLEET_ENROLL=$(jq .enroll_port ready)
}

fleet_enroll() {
	rm -f "token$1"
	meshanics enroll token create --home hq --root signed/root.json --name-prefix press --out "token$1" &&
		meshanics agent enroll --home "dev$1" --token-file "token$1"
}

fleet_device() {
	fleet_enroll "$1" && test_start "agent$1" meshanics agent run --home "dev$1"
}

fleet_sign() {
	fleet_version=$1
	shift
	echo "plc $fleet_version" >"plc-$fleet_version"
	meshanics sign "plc-$fleet_version" --home hq --namespace plant --name plc --version "$fleet_version" --kind file "$@"
}

fleet_rollout() {
	fleet_version=$1
	shift
	meshanics rollout create "plant/plc/$fleet_version" --home hq --all --waves 100 "$@"
}

fleet_state() {
	meshanics rollout show "$1" --home hq --json | jq -e ".state == \"$2\"" >/dev/null
}

fleet_current() {
	test "$(cat "dev$1/agent/artifacts/plant/plc/current/plc" 2>/dev/null)" = "$2"
}

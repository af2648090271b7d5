#!/bin/sh
# The same verbs through each door: in-process, the socket of a running serve, HTTPS with a token; and as root on
# a home that belongs to a service user.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/fleet.sh
. "$TEST_SRC/tests/e2e/fleet.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq

# far TOKEN VERB...: from a machine without this home, by HTTPS. Options first, then operands, as in the manual.
far() {
	far_t=$1
	shift
	meshanics "$@" --home far --server "https://127.0.0.1:$FLEET_API" --token-file "$far_t"
}

test_expect 'a site in force, a build server with its own key, and serve' '
	fleet_site main --publisher-life 400d && meshanics key generate ci --home far --unsealed && meshanics key generate ci2 --home far --unsealed &&
	meshanics ceremony delegate --home off --root signed/root.json --targets signed/targets.json --publisher "ci:lab/*/*" \
		--key far/keys/ci.pub --key far/keys/ci2.pub -o delegate.json &&
	digits=$(meshanics ceremony status delegate.json --home off --json | jq -r .request) &&
	meshanics ceremony sign delegate.json --home off --key targets1 --fingerprint "$digits" -o delegate.answer &&
	mkdir delegated && meshanics ceremony finish delegate.json delegate.answer --home off -o delegated &&
	meshanics operator add carl --role operator --home hq --out carl.token &&
	meshanics operator add vera --role viewer --home hq --out vera.token &&
	fleet_serve
'

test_expect 'the running serve adopts targets, and its status is asked' '
	meshanics repo adopt --home hq delegated/targets.json >out && grep "targets  version 2, new" out &&
	meshanics repo status --home hq >out && grep "^plant .* by this box .* ok" out &&
	test_status 3 meshanics repo adopt --home hq signed/targets.json 2>err && grep "older than version 2" err &&
	cp -a hq/repo repo.empty
'

test_expect 'the socket: the file is passed, copied and hashed by serve' '
	head -c 5000000 /dev/urandom >plc && h=$(sha256sum <plc | cut -c1-64) &&
	meshanics sign plc --home hq --namespace plant --name plc --version 1 --json >out.json &&
	test_json ".sha256 == \"$h\" and .hash_ms >= 0" out.json && cmp plc "hq/repo/targets/plant/plc/$h.1" &&
	meshanics verify plc --home hq && meshanics artifact list --home hq | grep plant/plc/1 &&
	test_status 1 meshanics sign plc.sig --home hq --namespace plant --name plc --version 1 2>err && grep "never changes" err
'

test_expect 'HTTPS: the key stays where it is, the bytes are sent' '
	head -c 3000000 /dev/urandom >lab && h=$(sha256sum <lab | cut -c1-64) &&
	far carl.token sign lab --key ci --namespace lab --name x --version 1 --json >out.json &&
	test_json ".publisher == \"ci\" and .descriptor.release == 1" out.json && cmp lab "hq/repo/targets/lab/x/$h.1" &&
	far carl.token sign lab --key ci --namespace lab --name x --version 1 | grep "published so already" &&
	far vera.token artifact show lab/x/1 | grep "$h" &&
	test_status 2 far carl.token sign lab --namespace lab --name x --version 2 2>err && grep -e "--key" err
'

test_expect 'a viewer publishes nothing' '
	test_status 3 far vera.token sign lab --key ci --namespace lab --name x --version 2 2>err && grep "artifact.publish" err &&
	test_status 3 far vera.token repo refresh --force 2>err && grep "repository.write" err &&
	test_status 3 far carl.token sign lab --key ci --namespace plant --name x --version 2 2>err && grep "is not one of publisher .plant." err
'

test_expect 'an upload that was cut resumes' '
	head -c 4000000 /dev/urandom >cut && h=$(sha256sum <cut | cut -c1-64) &&
	head -c 1500000 cut >hq/repo/staging/$h.part &&
	far carl.token sign cut --key ci --namespace lab --name cut --version 1 && cmp cut "hq/repo/targets/lab/cut/$h.1" &&
	head -c 4000001 /dev/urandom >bad && h=$(sha256sum <bad | cut -c1-64) &&
	head -c 1000 /dev/zero >hq/repo/staging/$h.part &&
	test_status 3 far carl.token sign bad --key ci --namespace lab --name bad --version 1 2>err && grep "another SHA-256" err &&
	far carl.token sign bad --key ci --namespace lab --name bad --version 1
'

test_expect 'who comes second builds on the first' '
	for n in 1 2 3 4; do echo $n >r$n; done &&
	for n in 1 2 3 4; do
		far carl.token sign r$n --key ci --namespace lab --name race --version $n >r$n.log 2>&1 &
		eval "p$n=\$!"
	done &&
	wait $p1 && wait $p2 && wait $p3 && wait $p4 || { cat r?.log; return 1; }
	far vera.token artifact list --json >out.json &&
	test_json "[.artifacts[] | select(.artifact | startswith(\"lab/race/\")) | .descriptor.release] | sort == [1, 2, 3, 4]" out.json &&
	meshanics repo verify --home hq
'

test_expect 'withdrawn from afar' '
	far carl.token artifact withdraw lab/race/4 --key ci --remove-bytes &&
	test_status 1 far vera.token artifact show lab/race/4 && ! ls hq/repo/targets/lab/race/*.4
'

test_expect 'a key builds upon what it has signed, or upon what the keys named beside it have' '
	echo two >two && test_status 3 far carl.token sign two --key ci2 --namespace lab --name two --version 1 2>err &&
	grep "published by .ci. is not signed by this key" err && grep "^hint: .*--also-by" err &&
	test_status 3 far carl.token artifact withdraw lab/race/3 --key ci2 2>err && grep "not signed by this key" err &&
	test_status 3 far carl.token sign two --key ci2 --also-by far/keys/ci2.pub --namespace lab --name two --version 1 &&
	far carl.token sign two --key ci2 --also-by far/keys/ci.pub --namespace lab --name two --version 1 &&
	test_status 3 far carl.token sign two --key ci --namespace lab --name two --version 2 &&
	far carl.token sign two --key ci --also-by far/keys/ci2.pub --namespace lab --name two --version 2
'

test_expect 'everything is in the audit trail' '
	meshanics audit list --home hq --json >trail &&
	for a in repository.adopt artifact.publish artifact.remove_blob; do grep -q "$a" trail || return 1; done &&
	grep artifact.publish trail | grep "operator:carl" >/dev/null && meshanics audit verify --home hq
'

# shows REPO: serve goes on with this copy of the repository
shows() {
	test_stop serve && rm -rf hq/repo && cp -a "$1" hq/repo && fleet_serve
}

far_ci() {
	far carl.token "$@" --key ci --also-by far/keys/ci2.pub
}

test_expect 'an older file that the key did sign is refused, since it brings back what was withdrawn' '
	mkdir amnesia && cp -r far/keys amnesia/keys &&
	echo evil >evil && far_ci sign evil --namespace lab --name evil --version 1 --json >out.json && old=$(jq .version out.json) &&
	test_json ".file == \"ci\"" out.json && cp -a hq/repo repo.old &&
	far_ci artifact withdraw lab/evil/1 --json >out.json && new=$(jq .version out.json) && test "$new" -gt "$old" &&
	record=far/published/$(meshanics key show ci --home far --json | jq -r .keyid)/ci/ci.json &&
	test_json ".version == $new" "$record" && cp -a hq/repo repo.new && shows ./repo.old &&
	test_status 3 far_ci sign two --namespace lab --name two --version 3 2>err &&
	grep "version $old is said to be published by .ci., of which this key has signed version $new" err &&
	grep "^hint: .*remove .*/$record" err &&
	test_status 3 far_ci artifact withdraw lab/evil/1 2>err && grep "version $old is said" err && test_json ".version == $new" "$record"
'

test_expect 'so is an empty repository, and another file of the same version' '
	shows ./repo.empty && test_status 3 far_ci sign two --namespace lab --name two --version 3 2>err &&
	grep "nothing is said to be published by .ci., of which this key has signed version $new" err && shows ./repo.new &&
	cp "$record" kept && jq -c ".sha256 = \"$(printf %064d 1)\"" kept >"$record" &&
	test_status 3 far_ci sign two --namespace lab --name two --version 3 2>err && grep "is not the file of that version" err &&
	echo "{" >"$record" && test_status 3 far_ci sign two --namespace lab --name two --version 3 2>err && grep "the record of what" err &&
	cp kept "$record"
'

test_expect 'a publisher for whom the key has not signed is not the word of the server' '
	mv "${record%/ci.json}" "${record%/ci/ci.json}/other" &&
	test_status 3 far_ci sign two --namespace lab --name two --version 3 2>err && grep "^hint: .*--publisher ci" err &&
	far_ci sign two --namespace lab --name two --version 3 --publisher ci --json >out.json && new=$(jq .version out.json) &&
	test_json ".version == $new" "$record" && rm -r "${record%/ci/ci.json}/other" && rm -rf repo.new && cp -a hq/repo repo.new
'

test_expect 'who has no home that remembers says what is published at least' '
	forgets() { (rm -rf amnesia/published && meshanics "$@" --home amnesia --server "https://127.0.0.1:$FLEET_API" \
		--token-file carl.token --key ci --also-by far/keys/ci2.pub); } &&
	shows ./repo.old && test_status 3 forgets sign two --namespace lab --name two --version 4 --at-least "$new" 2>err &&
	grep "version $old of .ci. is said to be published, not at least $new" err &&
	test_status 3 forgets artifact withdraw lab/evil/1 --at-least "$new" && shows ./repo.empty &&
	test_status 3 forgets sign two --namespace lab --name two --version 4 --at-least 1 2>err && grep "version 0 of .ci." err &&
	shows ./repo.old && forgets sign two --namespace lab --name two --version 4 --at-least "$old" &&
	shows ./repo.new && forgets sign two --namespace lab --name two --version 4 --at-least "$new" && far_ci artifact withdraw lab/two/4
'

test_expect 'a file from afar lives no longer than the default, whatever the server says' '
	days() { echo $((($(date -d "$(jq -r .signed.expires "$(find hq/repo/metadata -name "*.$1.json" | sort -V | tail -n 1)")" +%s) - $(date +%s)) / 86400)); } &&
	test "$(days plant)" -ge 398 && test "$(days ci)" -le 90 && test "$(days ci)" -ge 88
'

test_expect 'serve ends, the same verbs go on in-process' '
	test_stop serve && meshanics repo status --home hq && meshanics artifact show --home hq lab/x/1 &&
	meshanics sign plc --home hq --namespace plant --name plc --version 2 && meshanics repo verify --home hq
'

if [ "$(id -u)" = 0 ]; then
	test_expect 'root works as the owner of the home, and writes beside the file as root' '
		chmod 755 . && mkdir own private && chmod 700 private && install -d -o nobody -g nogroup -m 700 own/control &&
		signer alice && as own repo init --publisher "releases:plant/*/*" --output private/keys.json &&
		test "$(stat -c %U private/keys.json)" = root && test "$(stat -c %U own/repo/keys/snapshot.key)" = nobody &&
		as alice ceremony new --online-keys private/keys.json --root-key alice.pub --targets-key alice.pub -o private/r.json &&
		as alice ceremony sign private/r.json --key alice --fingerprint "$(fingerprint private/r.json)" -o private/a.json &&
		as alice ceremony finish private/r.json private/a.json -o private &&
		as own repo adopt private/root.json private/targets.json &&
		cp plc private/plc && as own sign private/plc --namespace plant --name plc --version 1 &&
		test "$(stat -c %U private/plc.sig)" = root && as own verify private/plc &&
		test -z "$(find own/control own/repo ! -user nobody)"
	'
else
	test_skip 'root works as the owner of the home, and writes beside the file as root' 'not root'
fi

test_done

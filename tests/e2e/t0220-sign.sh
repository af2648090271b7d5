#!/bin/sh
# Publishing: sign, verify, list, show and withdraw; OpenSSH as the independent judge.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq ssh-keygen sha256sum

sign() {
	sign_f=$1 sign_n=$2 sign_v=$3
	shift 3
	as hq sign "$sign_f" --namespace plant --name "$sign_n" --version "$sign_v" "$@"
}

test_expect 'a site in force' '
	site_up hq && head -c 3000000 /dev/urandom >plc.bin && echo hello >small
'

test_expect 'sign publishes the file and writes its signature' '
	sign plc.bin plc 1.0.0 --arch amd64 --arch arm64 --os debian-12 --probe-http http://127.0.0.1:8080/healthz \
		--probe-tcp 127.0.0.1:80 --probe-file /run/ok --probe-timeout 5s --note "the first" --json >out.json &&
	test_json ".artifact == \"plant/plc/1.0.0\" and .publisher == \"releases\" and .descriptor.release == 1" out.json &&
	h=$(sha256sum <plc.bin | cut -c1-64) && test_json ".sha256 == \"$h\"" out.json &&
	test_json ".copied_by != \"\" and .copy_ms >= 0 and .hash_ms >= 0 and .sync_ms >= 0" out.json &&
	cmp plc.bin "hq/repo/targets/plant/plc/$h.1.0.0" &&
	test_json ".signed.targets[\"plant/plc/1.0.0\"].length == 3000000" "$(ls -t hq/repo/metadata/*.releases.json | head -1)" &&
	test -z "$(ls hq/repo/staging)"
'

test_expect 'ssh-keygen -Y verify accepts the signature and nothing else' '
	as hq key export --format allowed-signers --identity releases ./hq/repo/keys/releases.key >signers &&
	ssh-keygen -Y verify -f signers -I releases -n meshanics-artifact -s plc.bin.sig <plc.bin &&
	! ssh-keygen -Y verify -f signers -I releases -n meshanics-bundle -s plc.bin.sig <plc.bin &&
	! ssh-keygen -Y verify -f signers -I releases -n meshanics-artifact -s plc.bin.sig <small
'

test_expect 'verify says who signed, and as what it is published' '
	as hq verify plc.bin >out && grep "publisher releases" out && grep "published as plant/plc/1.0.0" out &&
	as nobody verify plc.bin --key hq/repo/keys/releases.pub &&
	test_status 3 as nobody verify plc.bin --key alice.pub 2>err &&
	test_status 1 as nobody verify plc.bin 2>err && grep -e "--key PUB" err &&
	test_status 3 as hq verify small --signature plc.bin.sig &&
	test_status 2 as hq verify plc.bin --key alice.pub --repo &&
	cp plc.bin bad && cp plc.bin.sig bad.sig && test_flip bad 1234567 && test_status 3 as hq verify bad &&
	cp plc.bin bad && test_flip bad.sig 150 && test_status 3 as hq verify bad &&
	echo none >bad.sig && test_status 3 as hq verify bad && rm bad.sig && test_status 1 as hq verify bad
'

test_expect 'the same again is no change; other content is refused' '
	v=$(jq .signed.version hq/repo/metadata/timestamp.json) &&
	rm plc.bin.sig &&
	sign plc.bin plc 1.0.0 --arch amd64 --arch arm64 --os debian-12 --probe-http http://127.0.0.1:8080/healthz \
		--probe-tcp 127.0.0.1:80 --probe-file /run/ok --probe-timeout 5s --note "the first" >out &&
	grep "published so already" out && test -s plc.bin.sig &&
	test "$(jq .signed.version hq/repo/metadata/timestamp.json)" = "$v" &&
	test_status 1 sign small plc 1.0.0 2>err && grep "never changes" err && test ! -e small.sig &&
	test_status 1 sign plc.bin plc 1.0.0 2>err && grep "another descriptor" err
'

test_expect 'releases count up by themselves, and down only when that is said' '
	sign small plc 1.0.1 >out && grep "release    2" out &&
	sign small plc 1.0.2 --release 9 && sign small plc 1.0.3 >out && grep "release    10" out &&
	test_status 2 sign small plc 1.0.4 --downgrade-from 10 &&
	test_status 2 sign small plc 1.0.4 --release 10 --downgrade-from 10 2>err && grep "not above release 10" err &&
	sign small plc 1.0.4 --release 3 --downgrade-from 10 &&
	as hq artifact show plant/plc/1.0.4 --json >out.json && test_json ".descriptor.downgrade_from == 10" out.json &&
	sign small other 1 >out && grep "release    1$" out
'

test_expect 'what cannot be an artifact is not one' '
	for n in ../x x/y .. "" "$(printf "%064d" 0)" "Upper" "a b"; do
		test_status 2 sign small "$n" 1 || return 1
	done &&
	test_status 2 sign small "$(head -c 10000 /dev/zero | tr "\0" a)" 1 &&
	test_status 2 sign small x "1/2" && test_status 2 sign small x ".." &&
	test_status 2 sign small x 1 --kind script && test_status 2 sign small x 1 --kind container &&
	test_status 2 sign small x 1 --mode 4755 && test_status 2 sign small x 1 --filename ../x &&
	test_status 2 sign small x 1 --probe-http https://x && test_status 2 sign small x 1 --probe-tcp x &&
	test_status 2 sign small x 1 --probe-timeout 301s && test_status 2 sign small x 1 --release 0 &&
	test_status 2 sign . x 1 && test_status 1 sign nowhere x 1 && test ! -e nowhere.sig &&
	mkfifo pipe && test_status 2 sign pipe x 1 2>err && grep "regular file" err &&
	test_status 3 as hq sign small --namespace depot --name x --version 1 2>err && grep "in no publisher.s slice" err &&
	test_status 3 sign small x 1 --publisher somebody 2>err && grep "slice of publisher .releases." err &&
	test_status 3 sign small x 1 --key ./alice/keys/alice.key 2>err && grep "is not one of publisher .releases." err &&
	test_status 2 sign small x 1 --server https://127.0.0.1:1 2>err && grep -e "--key" err &&
	as hq artifact list --json >out.json && test_json "[.artifacts[].artifact] | index(\"plant/x/1\") == null" out.json &&
	as hq repo verify
'

test_expect 'a descriptor file says everything' '
	cat >d.json <<-\EOF2 &&
	{"format": 1, "kind": "config", "release": 4, "placement": {"destination": "/etc/app.conf", "reload_unit": "app.service"},
	 "probes": [{"type": "exec", "argv": ["/usr/bin/app", "--check"]}]}
	EOF2
	sign small conf 1 --descriptor d.json &&
	as hq artifact show plant/conf/1 >out && grep "kind  *config" out && grep "/etc/app.conf" out &&
	test_status 2 sign small conf 2 --descriptor d.json --arch amd64 2>err && grep "exclude each other" err &&
	sed "s/config/script/" d.json >e.json && test_status 3 sign small conf 2 --descriptor e.json 2>err && grep "unknown kind" err
'

test_expect 'sizes at the edges: nothing, and more than a buffer' '
	: >empty && sign empty empty 1 && as hq verify empty &&
	head -c 67108865 /dev/zero >big && sign big big 1 >out && grep "64.0 MiB\|64 MiB" out && as hq verify big &&
	rm big && as hq repo verify
'

test_expect 'list and show' '
	as hq artifact list >out && cat out && grep "plant/plc/1.0.0  *file  *1 " out && grep "plant/conf/1  *config  *4 " out &&
	as hq artifact list --publishers >out && grep "releases  *plant/\*/\* .* on this box" out &&
	as hq artifact show plant/plc/1.0.0 >out && grep "compatibility .*arm64" out &&
	test_status 1 as hq artifact show plant/plc/9 2>err && grep "not published" err &&
	test_status 2 as hq artifact show ../../etc/passwd
'

test_expect 'withdrawn is not published, its number stays used' '
	as hq artifact withdraw plant/plc/1.0.3 &&
	test_status 1 as hq artifact show plant/plc/1.0.3 &&
	test_status 1 as hq artifact withdraw plant/plc/1.0.3 2>err && grep "not published" err &&
	test -n "$(ls hq/repo/targets/plant/plc/*.1.0.3)" &&
	sign small plc 1.0.5 >out && grep "release    11" out &&
	as hq artifact withdraw plant/plc/1.0.5 --remove-bytes --json >out.json && test_json .bytes_removed out.json &&
	! ls hq/repo/targets/plant/plc/*.1.0.5 &&
	sign small plc 1.0.6 >out && grep "release    12" out && as hq repo verify
'

test_expect 'a build server with its own key and slice' '
	signer ci &&
	as alice ceremony delegate --root hq.out/root.json --targets hq.out/targets.json --publisher "ci:lab/*/*" --key ci.pub -o d.request &&
	as alice ceremony sign d.request --key alice --fingerprint "$(fingerprint d.request)" -o d.answer &&
	mkdir d.out && as alice ceremony finish d.request d.answer -o d.out && as hq repo adopt d.out/targets.json &&
	test_status 1 as hq sign small --namespace lab --name x --version 1 2>err && grep "does not hold the key" err &&
	as hq sign small --namespace lab --name x --version 1 --key ./ci/keys/ci.key >out && grep "publisher  ci" out &&
	as hq artifact list >out && grep "lab/x/1 .* ci" out && as hq repo verify >out && grep "2 publishers" out &&
	as hq repo status >out && grep "^ci .* by its publisher" out &&
	test_status 1 as hq artifact withdraw lab/x/1 && as hq artifact withdraw lab/x/1 --key ./ci/keys/ci.key
'

test_done

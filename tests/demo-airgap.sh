#!/bin/sh
# The air gap, end to end: headquarters and a depot, each in a network namespace of its own with nothing but loopback, which
# share only a stick: a FAT image that mtools writes and reads. Then everything that the depot must refuse.
#
#	./bootstrap demo airgap		builds first
#	MESHANICS=build/meshanics tests/demo-airgap.sh
# shellcheck disable=SC2154 # set in demo-lib.sh
set -eu

. "$(dirname "$0")/demo-lib.sh"

# ---- two places and a stick ----

# A namespace that lives until the end. An ordinary user is root in one of his own, and what he runs there is not: it would
# try to become other users, of whom there are none.
if [ "$(id -u)" -eq 0 ]; then
	away='unshare -n' enter='' as=''
else
	away='unshare -U -r -n' enter='-U --preserve-credentials' as='unshare -U --map-user=1000 --map-group=1000'
fi
place() {
	$away sh -c 'ip link set lo up && exec sleep 3600' &
	pids="$pids $!"
	eval "ns_$1=$!"
	# It is there when loopback is up in it.
	# shellcheck disable=SC2086 # words
	until_true 10 nsenter $enter -t $! -n sh -c 'ip -br link show lo | grep -q UNKNOWN'
}
at() {
	eval "ns=\$ns_$1"
	shift
	# shellcheck disable=SC2086 # words
	$in_background nsenter $enter -t "$ns" -n $as "$@"
}
# What goes on the stick, and comes off it.
stick() { mcopy -i "$T/stick.img" -o "$@"; }

rollout_done() { at depot meshanics rollout show "$1" --home depot --json | grep -q '"state": *"completed"'; }

# ---------------------------------------------------------------------------------------------------------------

title 'Two places that no wire joins, and a stick'
place hq
place depot
say 'each of them has loopback and nothing else'
run at hq ip -br address
run at depot ip -br address
run mkfs.vfat -C -n MESHANICS stick.img 65536

title 'Offline keys, and the ceremony of headquarters'
for who in alice bob tina; do
	meshanics key generate "$who" --home "$who" --unsealed --quiet
done
say 'alice and bob sign for root, tina for targets; their machines never see a network (here the keys lie unsealed, in earnest a passphrase seals them)'
run at hq meshanics repo init --home hq --publisher 'plant:plant/*/*' --output hq-online.json
# Everybody signs, in one go; demo.sh shows each step.
ceremony() {
	request=$1 out=$2
	shift 2
	digits=$(meshanics ceremony status "$request" --home alice --json | sed -n 's|.*"request": *"\([0-9a-f]*\)".*|\1|p' | cut -c 1-16)
	answers=''
	for who in "$@"; do
		meshanics ceremony sign "$request" --home "$who" --key "$who" --fingerprint "$digits" \
			--output "$out.$who" >"$out.$who.log" 2>&1
		answers="$answers $out.$who"
	done
	mkdir "$out"
	# shellcheck disable=SC2086 # words
	run meshanics ceremony finish "$request" $answers --home alice --output "$out"
}
run meshanics ceremony new --home alice --online-keys hq-online.json --root-key alice/keys/alice.pub \
	--root-key bob/keys/bob.pub --root-threshold 2 --targets-key tina/keys/tina.pub --targets-threshold 1 \
	--output hq-request.json
ceremony hq-request.json hq-signed alice bob tina
run at hq meshanics repo adopt --home hq hq-signed/root.json hq-signed/targets.json

title 'A second site: its own online keys, the same people and the same targets'
run at depot meshanics repo init --home depot --site depot-7 --output depot-online.json
say 'its public keys come to the table on the stick; headquarters lends its export key, which may sign bundles and nothing else'
run stick depot-online.json ::depot-online.json
run mdel -i stick.img ::depot-online.json
run meshanics ceremony new --home alice --online-keys depot-online.json --site depot-7 --like hq-signed/root.json \
	--export-key hq/repo/keys/record-export.pub --output depot-request.json
ceremony depot-request.json depot-signed alice bob
say 'headquarters keeps the root of the depot, to export for it; the depot pins it'
run at hq meshanics repo adopt --home hq depot-signed/root.json
run at depot meshanics repo adopt --home depot depot-signed/root.json hq-signed/targets.json

title 'Firmware is signed at headquarters and put on the stick'
head -c 3000000 /dev/urandom >plc-1.0.bin
head -c 5000000 /dev/urandom >model-1.bin
run at hq meshanics sign plc-1.0.bin --home hq --namespace plant --name plc --version 1.0 --kind file
run at hq meshanics sign model-1.bin --home hq --namespace plant --name vision --version 1 --kind model
run at hq meshanics bundle export --home hq --site depot-7 -o depot-7-1.bundle
say 'any machine can look inside, and ssh-keygen can check who made it'
run tar -tf depot-7-1.bundle
run meshanics key export "$T/hq/repo/keys/record-export.key" --home hq --format allowed-signers --identity main
cp output allowed
tar -xOf depot-7-1.bundle bundle.json.sig >sig
printf '$ tar -xOf depot-7-1.bundle bundle.json | ssh-keygen -Y verify -f allowed -I main -n meshanics-bundle -s sig\n'
tar -xOf depot-7-1.bundle bundle.json | ssh-keygen -Y verify -f allowed -I main -n meshanics-bundle -s sig | sed 's/^/  /'
run stick depot-7-1.bundle ::

title 'The stick is carried; the depot looks, tries, imports'
mkdir carried
run stick ::depot-7-1.bundle carried/
run at depot meshanics bundle inspect --home depot carried/depot-7-1.bundle
run at depot meshanics bundle import --home depot --dry-run carried/depot-7-1.bundle
run at depot meshanics bundle import --home depot carried/depot-7-1.bundle
run at depot meshanics repo status --home depot

title 'A device at the depot is enrolled and updated; no packet leaves the depot'
run at depot meshanics ca init --home depot
start depot-serve.log at depot meshanics serve --home depot --public-name 127.0.0.1 --heartbeat 1s --ready-file ready \
	--api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0
until_true 20 test -s ready
run at depot meshanics enroll token create --home depot --root depot-signed/root.json --uses 2 --name-prefix press --out token
for n in 1 2; do
	run at depot meshanics agent enroll --home "dev$n" --token-file token
	start "dev$n.log" at depot meshanics agent run --home "dev$n"
done
run at depot meshanics rollout create plant/plc/1.0 --home depot --all --waves 50,100
until_true 40 rollout_done 1
run at depot meshanics rollout show 1 --home depot --devices
run cmp plc-1.0.bin dev1/agent/artifacts/plant/plc/current/plc

title 'The receipt goes back, and the next bundle carries only what is missing'
run at depot meshanics bundle receipt --home depot -o depot-7.receipt
run tar -xOf depot-7.receipt receipt.json
run stick depot-7.receipt ::
run stick ::depot-7.receipt hq.receipt
head -c 3000000 /dev/urandom >plc-2.0.bin
run at hq meshanics sign plc-2.0.bin --home hq --namespace plant --name plc --version 2.0 --kind file
run at hq meshanics bundle export --home hq --site depot-7 --since hq.receipt -o depot-7-2.bundle
run ls -l depot-7-1.bundle depot-7-2.bundle
run stick depot-7-2.bundle ::
run stick ::depot-7-2.bundle carried/
say 'the depot is at work meanwhile: the running serve takes it in'
run at depot meshanics bundle import --home depot carried/depot-7-2.bundle
run at depot meshanics rollout create plant/plc/2.0 --home depot --all --waves 100
until_true 40 rollout_done 2
run cmp plc-2.0.bin dev2/agent/artifacts/plant/plc/current/plc

title 'What the depot must refuse'
say 'one byte of an artifact, on the stick'
cp depot-7-2.bundle tampered.bundle
printf 'x' | dd of=tampered.bundle bs=1 seek=$(($(stat -c %s tampered.bundle) - 100000)) conv=notrunc status=none
refused at depot meshanics bundle import --home depot tampered.bundle
say 'one word of the manifest'
sed 's/"sequence":2/"sequence":9/' depot-7-2.bundle >tampered.bundle
refused at depot meshanics bundle import --home depot tampered.bundle
say 'an old one, from the drawer'
refused at depot meshanics bundle import --home depot carried/depot-7-1.bundle
say 'one that is meant for another site'
run meshanics repo init --home depot8 --site depot-8 --output depot8-online.json
run meshanics ceremony new --home alice --online-keys depot8-online.json --site depot-8 --like hq-signed/root.json \
	--export-key hq/repo/keys/record-export.pub --output depot8-request.json
ceremony depot8-request.json depot8-signed alice bob
run at hq meshanics repo adopt --home hq depot8-signed/root.json
run at hq meshanics bundle export --home hq --site depot-8 -o depot-8-1.bundle
refused at depot meshanics bundle import --home depot depot-8-1.bundle
say 'and the root of that site, which the same people have signed'
refused at depot meshanics repo adopt --home depot depot8-signed/root.json

title 'The chain of custody, from both trails side by side'
run at hq meshanics audit export --home hq --out hq.ndjson
run at depot meshanics audit export --home depot --out depot.ndjson
run meshanics audit verify hq.ndjson --key hq/repo/keys/record-site.pub --with depot.ndjson \
	--with-key depot/repo/keys/record-site.pub

the_end
cat <<END

${bold}All of it held, in $seconds s.${plain} The pieces lie in $T:
  alice/ bob/ tina/    the offline machines
  hq/                  headquarters: repo/ with sites/depot-7/, control/
  depot/ dev1/ dev2/   the depot and its devices
  stick.img            the stick: mdir -i stick.img
Try next, in that directory (PATH=\$PATH:$(dirname "$MESHANICS")):
  meshanics bundle export --home hq --site depot-7 --split 2M -o volumes.bundle; ls -l volumes.bundle.*
  meshanics bundle inspect volumes.bundle.001
  man $(dirname "$(dirname "$MESHANICS")")/man/meshanics-bundle.1
END
echo "It can go: rm -r $T"

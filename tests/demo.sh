#!/bin/sh
# The main job, end to end, on this machine's loopback in a temporary directory: from offline keys to a verified
# update on three devices, and then everything that must be refused. Each command is shown as one could type it.
#
#	./bootstrap demo		builds first
#	MESHANICS=build/meshanics tests/demo.sh
# shellcheck disable=SC2154 # set in demo-lib.sh
set -eu

. "$(dirname "$0")/demo-lib.sh"

rollout_state() { meshanics rollout show "$1" --json --home hq | grep -q "\"state\": *\"$2\""; }

# ---------------------------------------------------------------------------------------------------------------

title 'Keys, each made on a machine that never sees a network'
say 'alice and bob will sign for root, tina for targets; a directory stands for a machine, a file for what is in a head'
for who in alice bob tina; do
	(umask 077 && echo "passphrase of $who" >"$who.secret")
	run meshanics key generate "$who" --home "$who" --passphrase-file "$who.secret"
done

title 'The online box makes its own keys, and tells the ceremony their public part'
run meshanics repo init --home hq --publisher 'plant:plant/*/*' --output online-keys.json

title 'The ceremony: two of two for root, one for targets; files travel on a stick'
run meshanics ceremony new --home alice --online-keys online-keys.json --root-key alice/keys/alice.pub \
	--root-key bob/keys/bob.pub --root-threshold 2 --targets-key tina/keys/tina.pub --targets-threshold 1 \
	--output request.json
digits=$(meshanics ceremony status request.json --home alice --json | sed -n 's|.*"request": *"\([0-9a-f]*\)".*|\1|p' | cut -c 1-16)
say "each signer reads what will be trusted, and types the beginning of the fingerprint: $digits"
run meshanics ceremony sign request.json --home alice --key alice --passphrase-file alice.secret \
	--fingerprint "$digits" --output alice.answer
say 'one signature short: nothing comes of it'
mkdir signed
refused meshanics ceremony finish request.json alice.answer --home alice --output signed
for who in bob tina; do
	meshanics ceremony sign request.json --home "$who" --key "$who" --passphrase-file "$who.secret" \
		--fingerprint "$digits" --output "$who.answer" >"$who.log" 2>&1
	say "$who has signed, too"
done
run meshanics ceremony finish request.json alice.answer bob.answer tina.answer --home alice --output signed
run meshanics repo adopt --home hq signed/root.json signed/targets.json

title 'The control plane'
run meshanics ca init --home hq
start serve.log meshanics serve --home hq --public-name 127.0.0.1 --heartbeat 1s --ready-file ready \
	--api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0
serve_pid=$last
until_true 20 test -s ready

title 'Three devices join, each with a key of its own that never leaves it'
say 'the token pins the server and the root; it is good for three'
run meshanics enroll token create --home hq --root signed/root.json --uses 3 --name-prefix press --out token
for n in 1 2 3; do
	run meshanics agent enroll --home "dev$n" --token-file token
	start "dev$n.log" meshanics agent run --home "dev$n"
done
say 'a fourth one finds the token used up'
refused meshanics agent enroll --home dev4 --token-file token

title 'Version 1.0 is signed and rolled out: one device first, then all'
echo 'firmware 1.0' >plc-1.0.bin && echo ok >line-is-fine
run meshanics sign plc-1.0.bin --home hq --namespace plant --name plc --version 1.0 --kind file --probe-file "$T/line-is-fine"
say 'anybody can check the signature beside it with nothing but OpenSSH'
run meshanics key export "$T/hq/repo/keys/plant.key" --home hq --format allowed-signers --identity plant
cp output allowed
printf '$ ssh-keygen -Y verify -f allowed -I plant -n meshanics-artifact -s plc-1.0.bin.sig <plc-1.0.bin\n'
ssh-keygen -Y verify -f allowed -I plant -n meshanics-artifact -s plc-1.0.bin.sig <plc-1.0.bin | sed 's/^/  /'
run meshanics rollout create plant/plc/1.0 --home hq --all --waves 30,100
until_true 30 rollout_state 1 completed
run meshanics rollout show 1 --home hq
run cat dev1/agent/artifacts/plant/plc/current/plc
run meshanics agent status --home dev1

title 'Version 2.0 does not come up: the device goes back by itself, the rollout halts'
echo 'firmware 2.0' >plc-2.0.bin
run meshanics sign plc-2.0.bin --home hq --namespace plant --name plc --version 2.0 --kind file --probe-tcp 127.0.0.1:1 --probe-attempts 2
run meshanics rollout create plant/plc/2.0 --home hq --all --waves 30,100
until_true 30 rollout_state 2 halted
run meshanics rollout show 2 --home hq --devices
run cat dev1/agent/artifacts/plant/plc/current/plc
run meshanics rollout abort 2 --keep --home hq

title 'A byte of a stored artifact is flipped: no device runs it'
echo 'firmware 3.0' >plc-3.0.bin
run meshanics sign plc-3.0.bin --home hq --namespace plant --name plc --version 3.0 --kind file
blob=$(ls hq/repo/targets/plant/plc/*.3.0)
say "somebody with access to the disk of the repository changes $blob"
printf 'F' | dd of="$blob" conv=notrunc status=none
refused meshanics repo verify --home hq
run meshanics rollout create plant/plc/3.0 --home hq --device press-0001 --waves 100
until_true 40 rollout_state 3 halted
run meshanics rollout show 3 --home hq --devices
printf 'f' | dd of="$blob" conv=notrunc status=none

title 'An older timestamp is replayed (rollback), and one that has expired (freeze): refused'
cp hq/repo/metadata/timestamp.json old-timestamp.json
echo 'firmware 4.0' >plc-4.0.bin
run meshanics sign plc-4.0.bin --home hq --namespace plant --name plc --version 4.0 --kind file
run meshanics rollout create plant/plc/4.0 --home hq --device press-0002 --waves 100
until_true 30 rollout_state 4 completed
say 'press-0002 has seen the newest metadata; now it is shown what was true before'
cp hq/repo/metadata/timestamp.json good-timestamp.json
echo 'firmware 5.0' >plc-5.0.bin
run meshanics sign plc-5.0.bin --home hq --namespace plant --name plc --version 5.0 --kind file
cp hq/repo/metadata/timestamp.json newest-timestamp.json
cp old-timestamp.json hq/repo/metadata/timestamp.json
run meshanics rollout create plant/plc/5.0 --home hq --device press-0002 --waves 100
until_true 40 rollout_state 5 halted
run meshanics rollout show 5 --home hq --devices
cp newest-timestamp.json hq/repo/metadata/timestamp.json
say 'a timestamp that lives two seconds is kept back until it is over, then shown to press-0003'
run meshanics repo refresh --home hq --force --timestamp-life 2s
cp hq/repo/metadata/timestamp.json short-timestamp.json
run meshanics repo refresh --home hq --force
cp hq/repo/metadata/timestamp.json newest-timestamp.json
sleep 3
cp short-timestamp.json hq/repo/metadata/timestamp.json
run meshanics rollout create plant/plc/5.0 --home hq --device press-0003 --waves 100
until_true 30 grep -q 'agent.transfer.*expire' dev3.log
grep 'agent.transfer' dev3.log | tail -n 1 | sed 's/^/  /'
say 'that may be a clock that is wrong, so it is no verdict: with fresh metadata the same device goes on by itself'
cp newest-timestamp.json hq/repo/metadata/timestamp.json
until_true 60 rollout_state 6 completed
run meshanics device list --home hq

title 'The audit trail: whole, and then a row is changed behind its back'
run meshanics audit list --home hq --limit 5
run meshanics audit verify --home hq
kill "$serve_pid"
wait "$serve_pid" 2>/dev/null || :
say "sqlite3 hq/control/meshanics.db: the triggers that guard the table dropped, one word of record 3 changed"
sqlite3 hq/control/meshanics.db "
	SELECT 'DROP TRIGGER ' || name || ';' FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit';" >drop.sql
{ cat drop.sql && echo "UPDATE audit SET actor = 'operator:nobody' WHERE seq = 3;"; } | sqlite3 hq/control/meshanics.db
refused meshanics audit verify --home hq

# The devices remember the ports at which they enrolled.
port() { sed "s/.*\"$1_port\":\([0-9]*\).*/\1/" ready; }

the_end
cat <<END

${bold}All of it held, in $seconds s.${plain} The pieces lie in $T:
  alice/ bob/ tina/    the offline machines: keys, transcripts
  hq/                  the control plane: repo/ (keys, metadata, targets) and control/ (store, CAs)
  dev1/ dev2/ dev3/    the devices: agent/artifacts/plant/plc/current is what runs
  *.log                what serve and the agents said
Try next, in that directory (PATH=\$PATH:$(dirname "$MESHANICS")):
  meshanics serve --home hq --public-name 127.0.0.1 --heartbeat 2s \\
    --repository-listen 127.0.0.1:$(port repository) --device-listen 127.0.0.1:$(port device)
  meshanics agent run --home dev1                       # in another terminal
  meshanics device list --home hq                       # in a third
  man $(dirname "$(dirname "$MESHANICS")")/man/meshanics-rollout.1        waves, approval, halting
  man $(dirname "$(dirname "$MESHANICS")")/man/meshanics-ceremonies.7     a ceremony with real people
END
echo "It can go: rm -r $T"

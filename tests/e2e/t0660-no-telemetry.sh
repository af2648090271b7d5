#!/bin/sh
# Nothing leaves: the whole story of two sites and a device runs where there is no network but loopback, under strace, and every
# socket that was made is accounted for. No name is resolved, no address is spoken to that was not configured.
. "$(dirname "$0")/lib.sh"
test_need strace jq unshare ip
test_need_root
. "$TEST_SRC/tests/e2e/site.sh"

# A namespace with loopback alone, which lives as long as this test.
test_start place unshare -n sh -c 'ip link set lo up && exec sleep 3600'
test_wait 10 sh -c "nsenter -t $(cat place.pid) -n ip -br link show lo | grep -q UNKNOWN" || exit 1
mkdir traces

# Every meshanics of this file is one of these: in the namespace, under strace, which keeps each thread in a file of its own,
# so that no call is torn in two by another one's. LeakSanitizer does not bear ptrace.
meshanics_real=$(command -v meshanics)
traced_count=0
cat >traced <<END
#!/bin/sh
ASAN_OPTIONS=\$ASAN_OPTIONS:detect_leaks=0
export ASAN_OPTIONS
exec nsenter -t $(cat place.pid) -n strace -ff -qq -o "$TEST_DIR/traces/\$\$" -s 256 \
	-e trace=%network,openat,execve "$meshanics_real" "\$@"
END
chmod +x traced
mkdir bin && mv traced bin/meshanics
PATH=$TEST_DIR/bin:$PATH
chmod 711 "$TEST_DIR"

# End what strace watches: strace itself would only let it go.
end_traced() {
	# shellcheck disable=SC2046 # pids
	kill $(cat "/proc/$(cat "$1.pid")/task/$(cat "$1.pid")/children") && wait "$(cat "$1.pid")"
}

test_expect 'two sites come into being' '
	signer alice && signer bob && signer carol &&
	site_init hq && site_ceremony hq && as hq repo adopt hq.out/root.json hq.out/targets.json &&
	as depot repo init --site depot-7 --output depot.online.json &&
	as alice ceremony new --online-keys depot.online.json --site depot-7 --like hq.out/root.json \
		--export-key hq/repo/keys/record-export.pub --output depot.request.json &&
	digits=$(fingerprint depot.request.json) &&
	as alice ceremony sign depot.request.json --key alice --fingerprint "$digits" -o depot.alice.json &&
	as carol ceremony sign depot.request.json --key carol --fingerprint "$digits" -o depot.carol.json &&
	mkdir depot.out &&
	as alice ceremony finish depot.request.json depot.alice.json depot.carol.json -o depot.out &&
	as hq repo adopt depot.out/root.json &&
	as depot repo adopt depot.out/root.json hq.out/targets.json
'

test_expect 'a bundle goes to the depot, a receipt comes back' '
	echo "plc 1" >plc && as hq sign plc --namespace plant --name plc --version 1 --kind file &&
	as hq bundle export --site depot-7 -o one.bundle &&
	as depot bundle inspect one.bundle && as depot bundle verify one.bundle &&
	as depot bundle import one.bundle && as depot bundle receipt -o one.receipt &&
	as hq bundle export --site depot-7 --since one.receipt -o two.bundle
'

test_expect 'a device joins and is updated' '
	as depot ca init &&
	test_start serve meshanics --home "$TEST_DIR/depot" serve --public-name 127.0.0.1 --heartbeat 1s --ready-file ready \
		--api-listen 127.0.0.1:0 --repository-listen 127.0.0.1:0 --device-listen 127.0.0.1:0 --enroll-listen 127.0.0.1:0 &&
	test_wait 60 test -s ready &&
	as depot enroll token create --root depot.out/root.json --name-prefix press --out token &&
	as dev agent enroll --token-file token &&
	test_start agent meshanics --home "$TEST_DIR/dev" agent run &&
	as depot bundle import two.bundle &&
	as depot rollout create plant/plc/1 --all --waves 100 &&
	test_wait 60 cmp plc dev/agent/artifacts/plant/plc/current/plc &&
	end_traced agent && end_traced serve
'

# The loop-back ports that serve listened on are the configured addresses; enrolment and the agent may speak to them.
ports() { jq -r '[.api_port, .repository_port, .device_port, .enroll_port] | map(tostring) | join("|")' ready; }

test_expect 'the traces are those of everything that ran' '
	test "$(ls traces | wc -l)" -gt 25 &&
	grep -l "execve.*\"serve\"" traces/* && grep -l "execve.*\"agent\", \"run\"" traces/* && grep -l "execve.*\"import\"" traces/* &&
	grep -h "socket(AF_INET" traces/* | grep SOCK_STREAM >/dev/null
'

# The worker tries what its sandbox must forbid.
test_expect 'sockets are local ones, or TCP' '
	grep -h "socket(" traces/* | grep -v "socket(AF_UNIX, SOCK_\|socketpair(AF_UNIX, \|socket(AF_INET, SOCK_STREAM\|socket(AF_INET6, SOCK_STREAM" |
		grep -v "= -1 EPERM" >others
	test ! -s others || { cat others; false; }
'

test_expect 'no connection but to the configured addresses' '
	grep -h "connect(" traces/* | grep "AF_INET" >tcp &&
	grep -v "sin_port=htons(\($(ports | sed "s/|/\\\\|/g")\)), sin_addr=inet_addr(\"127.0.0.1\")" tcp >others
	test ! -s others || { cat others; false; }
'

test_expect 'no datagram, and nothing bound but where serve was told to listen' '
	grep -hE "(sendto|sendmsg|sendmmsg)\(.*AF_INET" traces/* >others
	test ! -s others || { cat others; false; }
	grep -h "bind(" traces/* | grep "AF_INET" | grep -v "inet_addr(\"127.0.0.1\")" >others
	test ! -s others || { cat others; false; }
'

# O_PATH: the worker's landlock rules name what a look-up would need.
test_expect 'no name was resolved' '
	grep -hE "resolv.conf|nsswitch|/etc/hosts|htons\(53\)" traces/* | grep -v O_PATH >others
	test ! -s others || { cat others; false; }
'

# The verbs that have nothing to do with a device open no socket at all but the local door.
test_expect 'bundle verbs and ceremonies speak to nobody' '
	for f in traces/*; do
		head -qn 1 "${f%.*}".* | grep -qE "\"(bundle|ceremony|sign|repo)\"" && grep "socket(AF_INET" "$f"
	done >others
	test ! -s others || { cat others; false; }
'

test_done

#!/bin/sh
# The demonstration under strace, with the capabilities of the units: what they forbid, the processes never need.
. "$(dirname "$0")/lib.sh"

test_need strace setpriv systemd-analyze sqlite3
skip_all() {
	echo "1..0 # SKIP $1"
	test_finished=1
	exit 0
}
[ "$(id -u)" -eq 0 ] || skip_all 'needs root'
# Sanitizers make system calls of their own.
make -q -C "$TEST_SRC" build/meshanics || skip_all 'build/meshanics is not up to date'

UNITS=$TEST_SRC/agent/units
PLAIN=$TEST_SRC/build/meshanics

# The values of a setting in a unit, on one line.
setting() {
	sed -n "s/^$2=//p" "$UNITS/meshanics-$1.service" | tr '\n' ' '
}

# Names and @groups as names of system calls.
# shellcheck disable=SC2046 # words
expand() {
	for word in "$@"; do
		case $word in
		@*) expand $(systemd-analyze syscall-filter "$word" 2>/dev/null | sed -n 's/^    \([^#]\)/\1/p') ;;
		*) echo "$word" ;;
		esac
	done
}

# All calls that the unit lets through, into FILE.
# shellcheck disable=SC2046 # words
allowed() {
	expand $(setting "$1" SystemCallFilter | sed 's/~[^~]*//g') | sort -u >"$2.plus" &&
		expand $(setting "$1" SystemCallFilter | sed 's/^[^~]*//; s/~//g') | sort -u >"$2.minus" &&
		comm -23 "$2.plus" "$2.minus" >"$2" && [ "$(wc -l <"$2")" -gt 100 ]
}

# setpriv's words for the unit's bounding set.
caps() {
	printf -- '-all'
	for cap in $(setting "$1" CapabilityBoundingSet); do
		printf ',+%s' "$(echo "${cap#CAP_}" | tr '[:upper:]' '[:lower:]')"
	done
}

# A meshanics that runs the two services watched; everything else as it is.
mkdir wrap trace
cat >wrap/meshanics <<WRAP
#!/bin/sh
case "\$1 \${2-}" in
"agent run") kind=agent caps=$(caps agent) ;;
"serve "*) kind=serve caps=$(caps serve) ;;
"meshlan run") kind=meshlan caps=$(caps meshlan) ;;
*) exec "$PLAIN" "\$@" ;;
esac
exec setpriv --bounding-set=\$caps --inh-caps=-all --no-new-privs \\
	strace -D -ff -qq -e signal=none -o "$TEST_DIR/trace/\$kind.\$\$" "$PLAIN" "\$@"
WRAP
chmod 755 wrap/meshanics . trace

# A bundle on a stick, for an agent that runs: the verb of meshanics-apply@.service, with what that unit leaves it.
# shellcheck source=tests/e2e/fleet.sh
. "$TEST_SRC/tests/e2e/fleet.sh"
stick_site() {
	fleet_site && fleet_serve && fleet_enroll 1 && fleet_sign 1.0 && mkdir -p stick/meshanics/bundles &&
		printf 'media:\n  apply: true\n  labels: [MESHANICS]\n' >allow.yaml && chmod 644 allow.yaml &&
		test_stop serve && meshanics bundle export --home hq --valid-for 10m --output stick/meshanics/bundles/
}
stick_apply() {
	setpriv --bounding-set="$(caps apply@)" --inh-caps=-all --no-new-privs \
		strace -D -ff -qq -e signal=none -o "$TEST_DIR/trace/apply@.$$" "$PLAIN" agent apply --home dev1 \
		--media stick --label MESHANICS --allow allow.yaml
}

# What succeeded, or failed for another reason than being forbidden (the sandbox tries that on purpose).
calls() {
	cat trace/"$1".* | grep -v '= -1 E\(PERM\|ACCES\) ' | grep "$2"
}

test_expect 'the demonstration works with the capabilities of the units' '
	TMPDIR=$TEST_DIR MESHANICS=$TEST_DIR/wrap/meshanics "$TEST_SRC/tests/demo.sh" -k &&
	ls trace/agent.* trace/serve.*
'
test_expect 'what is on a stick is applied without any capability' '
	PATH=$(dirname "$PLAIN"):$PATH && stick_site && test_start agent1 meshanics agent run --home dev1 &&
	test_wait 20 meshanics agent status --home dev1 && stick_apply >out && cat out && grep "plc/1.0: healthy" out &&
	fleet_current 1 "plc 1.0" && test_stop agent1
'
if [ -c /dev/net/tun ]; then
	NS=units$$
	two_interfaces() {
		test "$(ip -n "$NS" -br link show type tun | wc -l)" = 2
	}
	mesh_ended() {
		! test_alive mesh
	}
	mesh_of_two() {
		ip netns add "$NS" && ip -n "$NS" link set lo up && "$PLAIN" mgmt-keys add --home m --name one --allow tcp:22 &&
		printf "meshlan:\n  forwards: [{name: printer, target: 192.0.2.7}]\n" >mesh.yaml &&
		test_start mesh ip netns exec "$NS" "$TEST_DIR/wrap/meshanics" meshlan run --home m --name nas --config mesh.yaml &&
		test_wait 20 "$PLAIN" meshlan ping nas --count 1 --home m && "$PLAIN" meshlan ping nas --ipv6 --count 1 --home m &&
		"$PLAIN" mgmt-keys add --home m --name two && "$PLAIN" forward add camera 192.0.2.8 --network two --home m &&
		test_wait 20 two_interfaces &&
		"$PLAIN" meshlan status --home m --json >status.json &&
		test_json "[.networks[].warnings[].kind] - [\"dns\"] == []" status.json &&
		for p in $(ip netns pids "$NS"); do kill "$p"; done && test_wait 20 mesh_ended
	}
	test_expect 'two networks of the mesh work with the capabilities of the unit' '
		mesh_of_two; status=$?; ip netns del "$NS"; cat mesh.log; test $status = 0 && grep "mesh.stopped clean=true" mesh.log
	'
	test_expect 'the mesh runs no program but resolvectl' '
		! calls meshlan "^execve(" | grep -v "execve(\"$PLAIN\"" | grep -v "execve(\"/[a-z/]*bin/resolvectl\""
	'
	meshlan=meshlan
else
	test_skip 'two networks of the mesh work with the capabilities of the unit' 'there is no /dev/net/tun'
	meshlan=
fi
for unit in serve agent apply@ $meshlan; do
	test_expect "$unit: every system call is in the filter of the unit" '
		allowed $unit may && calls $unit "" | sed -n "s/^\([a-z0-9_]*\)(.*/\1/p" | sort -u >did &&
		grep "^openat$" did &&
		# SQLite hands its files to their owner when root runs it; the unit is no root.
		{ [ $unit != serve ] || sed -i "/^fchown$/d" did; } &&
		comm -23 did may >beyond && cat beyond && test ! -s beyond
	'
	test_expect "$unit: sockets are of the families of the unit, memory is never writable code" '
		setting $unit RestrictAddressFamilies | tr " " "\n" | sed "/^$/d; s/.*/socket(&,/" >families &&
		calls $unit "^socket(" | grep -v -F -f families >beyond; cat beyond && test ! -s beyond &&
		! calls $unit "PROT_WRITE|PROT_EXEC" &&
		! calls $unit "CLONE_NEW"
	'
done
test_expect 'the agent binds no address of a network' '
	calls agent "^bind(" && ! calls agent "^bind(.*AF_INET"
'
test_expect 'neither runs a program of another name' '
	! calls agent "^execve(" | grep -v "execve(\"$PLAIN\"" && ! calls serve "^execve(" | grep -v "execve(\"$PLAIN\""
'
test_done

#!/bin/sh
# Where values come from: line, environment, configuration file; what a file may not hold; where the home is.
. "$(dirname "$0")/lib.sh"

# The value and the source of one key, as config show tells.
setting() {
	meshanics config show --config c.yaml --home h | awk -v k="$1" '$1 == k { print $2, $3 }'
}

test_expect 'an absent default file is fine, an absent named one is not' '
	meshanics config check >out &&
	grep "absent or empty" out &&
	test_status 1 meshanics config check --config none.yaml 2>err &&
	grep "cannot read the configuration: cannot open .none.yaml.: No such file" err &&
	MESHANICS_CONFIG=none.yaml test_status 1 meshanics config check
'

test_expect 'a right file is right' '
	cat >c.yaml <<-\EOF &&
	# a comment
	serve:
	  public_names: [a.example, b.example]
	  heartbeat: 30s
	agent:
	  proxy: "http://proxy:3128"
	EOF
	meshanics config check --config c.yaml >out &&
	grep "^c.yaml: 3 keys, all right$" out
'

test_expect 'config show tells value and source; the environment goes first' '
	test "$(setting serve.heartbeat)" = "30s file" &&
	test "$(setting agent.proxy)" = "http://proxy:3128 file" &&
	test "$(setting serve.loops)" = "- -" &&
	test "$(MESHANICS_HEARTBEAT=10s setting serve.heartbeat)" = "10s environment" &&
	test "$(MESHANICS_HEARTBEAT= setting serve.heartbeat)" = "30s file"
'

test_expect 'an unknown key: file, line, column and the nearest one' '
	printf "serve:\n  heartbaet: 30s\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "^meshanics: bad.yaml:2:3: unknown key .serve.heartbaet.$" err &&
	grep "^hint: did you mean .serve.heartbeat.?$" err
'

test_expect 'values of the wrong type or range' '
	printf "serve:\n  loops: many\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "^meshanics: bad.yaml:2:10: " err &&
	printf "serve:\n  loops: 0\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "^meshanics: bad.yaml:2:10: " err &&
	printf "serve:\n  heartbeat: [1s, 2s]\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "^meshanics: bad.yaml:2:" err
'

test_expect 'YAML that surprises is refused' '
	printf "serve: &a\n  loops: 1\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "bad.yaml:1:" err &&
	printf "serve:\n  loops: 1\n  loops: 2\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "bad.yaml:3:" err &&
	printf "serve:\n\tloops: 1\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "bad.yaml:" err &&
	head -c 70000 /dev/zero | tr "\0" "#" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep ".bad.yaml. is larger than 65536 bytes" err
'

test_expect 'a wrong file stops the verbs that read it, and no others' '
	printf "serve:\n  nonsense: 1\n" >bad.yaml &&
	test_status 2 meshanics serve --config bad.yaml --home h 2>err &&
	grep "bad.yaml:2:3: unknown key .serve.nonsense." err &&
	meshanics version --config bad.yaml
'

# wrong KEY LINE:COLUMN TEXT: bad.yaml is refused by config check there, with a hint, and by the verb that reads it
wrong() {
	test_status 2 meshanics config check --config bad.yaml 2>one.err && cat one.err &&
	grep "^meshanics: bad.yaml:$2: $1: .*$3" one.err >/dev/null && grep "^hint: ." one.err >/dev/null || return 1
	case $1 in
	serve.*) set -- serve ;;
	agent.*) set -- agent run ;;
	meshlan.ipv4_range) set -- mgmt-keys add --name x ;;
	*) set -- meshlan run ;;
	esac
	test_status 2 meshanics "$@" --home h --config bad.yaml 2>two.err && cmp one.err two.err
}

test_expect 'what a value may be: config check and the verb say the same, with the place' '
	while IFS="|" read -r key value at text; do
		printf "%s:\n  %s: %s\n" "${key%.*}" "${key#*.}" "$value" >bad.yaml && wrong "$key" "2:$at" "$text" || return 1
	done <<-\EOF
	meshlan.listen|7784|11|.7784. has no .:port.
	meshlan.listen|":99999"|11|does not end with a port
	meshlan.listen|"nas:7784"|11|is a name
	meshlan.name|"My NAS"|9|is no name of the mesh
	meshlan.peers|[a.example:1, home.example.org]|24|.home.example.org. is no peer: it has no port
	meshlan.peers|["fd77::2:7784"]|11|stands in brackets
	meshlan.peers|nas:0|10|does not end with a port
	meshlan.peers|192.168.1:7784|10|not an IPv4 address
	meshlan.peers|"http://nas:7784"|10|neither a name nor
	meshlan.dns_suffix|"a b"|15|no suffix
	meshlan.dns_suffix|local|15|a meaning of their own
	meshlan.dns_upstream|[192.0.2.53, dns.google]|30|.dns.google. is no resolver
	meshlan.ipv4_range|foo|15|is not an IPv4 range
	meshlan.ipv4_range|8.8.0.0/19|15|private range
	serve.api_listen|foo|15|.foo. has no .:port.
	agent.proxy|proxy.example|10|does not begin with http
	EOF
	printf "meshlan:\n  name: Ä\n" >bad.yaml && wrong meshlan.name 2:9 "is no name" && grep "as in .nas.$" one.err &&
	printf "meshlan:\n  name: My NAS\n" >bad.yaml && wrong meshlan.name 2:9 "is no name" && grep "as in .my-nas.$" one.err &&
	meshanics mgmt-keys add --home other --name x --config bad.yaml &&
	test_status 1 meshanics doctor --home h --config bad.yaml >out && grep "bad.yaml:2:9: meshlan.name: " out
'

test_expect 'forwards are checked one by one; the mesh warns of them, and goes on' '
	printf "meshlan:\n  forwards:\n    - {name: P, target: printer}\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err &&
	grep "^meshanics: bad.yaml:3:7: meshlan.forwards: forward .p.: .printer. is no address$" err && grep "^hint: " err &&
	printf "meshlan:\n  forwards:\n    - {name: Q, target: 127.0.0.1}\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err && grep "a loopback address" err &&
	printf "meshlan:\n  enabled: false\n  forwards:\n    - {name: P, target: 10.0.0.1}\n    - {name: p, target: 10.0.0.2}\n" >bad.yaml &&
	test_status 2 meshanics config check --config bad.yaml 2>err && grep "bad.yaml:5:7: .*forward .p. is there twice" err &&
	meshanics meshlan run --home h --config bad.yaml 2>err && grep "^warning: bad.yaml:5:7: .*there twice; the first one counts" err &&
	printf "meshlan:\n  forwards:\n    - {name: P, target: 10.0.0.1, network: a}\n    - {name: p, target: 10.0.0.2, network: b}\n" >c.yaml &&
	meshanics config check --config c.yaml
'

test_expect 'what may be, in every form' '
	cat >c.yaml <<-\EOF &&
	meshlan:
	  name: nas-2
	  listen: "[fd77::16]:9000"
	  peers: [home.example.org:7784, "[2001:db8::7]:7784", 192.0.2.7:1, "my_nas:7784", "nas.home.:1"]
	  dns_suffix: mesh.example.net
	  dns_upstream: [192.0.2.53, "2001:db8::53", "[2001:db8::53]:5353"]
	  ipv4_range: 10.1.0.0/19
	serve:
	  api_listen: unix:/run/x
	  device_listen: ":0"
	agent:
	  proxy: http://u:p@proxy.example:3128
	EOF
	meshanics config check --config c.yaml
'

test_expect 'a wrong variable or option is told by its name' '
	MESHANICS_LISTEN=:99999 test_status 2 meshanics meshlan run --home h 2>err &&
	grep "^meshanics: environment variable MESHANICS_LISTEN: .*does not end with a port" err && grep "^hint: :PORT or" err &&
	test_status 2 meshanics meshlan run --home h --peer a:1 --peer b 2>err && grep "^meshanics: option --peer: .b. is no peer" err
'

test_expect 'a wrong variable is told by its name' '
	MESHANICS_LOOPS=many test_status 2 meshanics serve --home h 2>err &&
	grep "^meshanics: environment variable MESHANICS_LOOPS: .many. is not a number$" err
'

test_expect 'the home: option, variable, XDG, HOME' '
	meshanics config show --home x | grep "^home  $PWD/x$" &&
	MESHANICS_HOME=/y meshanics config show | grep "^home  /y$" &&
	MESHANICS_HOME=/y meshanics config show --home /x | grep "^home  /x$" &&
	if test "$(id -u)" -eq 0; then
		meshanics config show | grep "^home  /var/lib/meshanics$" &&
		meshanics config show | grep "^file  /etc/meshanics/config.yaml$"
	else
		meshanics config show | grep "^home  $HOME/.local/state/meshanics$" &&
		XDG_STATE_HOME=/s meshanics config show | grep "^home  /s/meshanics$" &&
		XDG_STATE_HOME=s meshanics config show | grep "^home  $HOME/.local/state/meshanics$" &&
		XDG_CONFIG_HOME=/c meshanics config show | grep "^file  /c/meshanics/config.yaml$"
	fi
'

test_expect 'the home is made on first use, closed to writers' '
	meshanics key list --home new/home >out &&
	test -d new/home &&
	if test "$(id -u)" -eq 0; then want=755; else want=700; fi &&
	test "$(stat -c %a new/home)" = $want &&
	: >file &&
	test_status 1 meshanics key list --home file/x 2>err &&
	grep "cannot use the home directory" err
'

test_done

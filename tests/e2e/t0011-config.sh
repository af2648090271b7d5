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

#!/bin/sh
# The surface that every verb shares: help, usage errors, exit statuses, JSON, where output goes.
. "$(dirname "$0")/lib.sh"

test_expect 'help lists the verbs on standard output, in 80 columns' '
	meshanics help >out 2>err &&
	test ! -s err &&
	grep "^  key generate|" out &&
	awk "length > 80 { print; bad = 1 } END { exit bad }" out &&
	meshanics --help >out2 &&
	cmp out out2
'

test_expect 'every verb has help in 80 columns on standard output, and it is the same both ways' '
	meshanics help --names >names &&
	test -s names &&
	while read -r verb; do
		meshanics help $verb >a 2>err </dev/null &&
		meshanics $verb --help >b 2>>err </dev/null &&
		meshanics $verb -h >c 2>>err </dev/null &&
		test ! -s err && test -s a && cmp a b && cmp a c &&
		awk "length > 80 { print; bad = 1 } END { exit bad }" a || { echo "at: $verb"; return 1; }
	done <names
'

test_expect 'summaries begin in lower case and end without a full stop' '
	meshanics help --summaries >out &&
	! grep "\.$" out
'

test_expect 'the beginning of verbs explains them' '
	meshanics help key >out &&
	grep "^  key list  *[a-z]" out &&
	meshanics key --help >out2 &&
	cmp out out2
'

test_expect 'no verb is a usage error' '
	test_status 2 meshanics >out 2>err &&
	test ! -s out &&
	grep "^meshanics: no verb given$" err &&
	grep "^hint: " err
'

test_expect 'an unknown verb is told, with the nearest one' '
	test_status 2 meshanics key genrate 2>err &&
	grep "^meshanics: .key. has no verb .genrate.$" err &&
	grep "^hint: did you mean .key generate.?$" err &&
	test_status 2 meshanics versoin 2>err &&
	grep "^hint: did you mean .version.?$" err &&
	test_status 2 meshanics kye 2>err &&
	grep "^hint: did you mean .key.?$" err &&
	test_status 2 meshanics xyzzy 2>err &&
	grep "^hint: .meshanics help. lists the verbs$" err
'

test_expect 'half a verb is told' '
	test_status 2 meshanics key 2>err &&
	grep "^meshanics: .key. wants a verb$" err
'

test_expect 'an unknown option is told, with the nearest one' '
	test_status 2 meshanics version --jsno 2>err &&
	grep "^meshanics: .version. has no option .--jsno.$" err &&
	grep "^hint: did you mean .--json.?$" err &&
	test_status 2 meshanics version -x 2>err &&
	test_status 2 meshanics version --xyzzyx 2>err &&
	grep "^hint: .meshanics help version. lists them$" err &&
	test_status 2 meshanics --xyzzyx version 2>err
'

test_expect 'option values: next word, equals sign, missing, twice, where none belongs' '
	meshanics --home=x version >out &&
	meshanics --home x version >out &&
	meshanics version --home x >out &&
	test_status 2 meshanics version --home 2>err &&
	grep "option --home wants a value (DIR)" err &&
	test_status 2 meshanics version --home a --home b 2>err &&
	grep "option --home is given twice" err &&
	test_status 2 meshanics version --quiet=yes 2>err &&
	grep "option --quiet takes no value" err &&
	test_status 2 meshanics version --no-quiet 2>err
'

test_expect 'too many and too few operands are told' '
	test_status 2 meshanics version extra 2>err &&
	grep "does not know what to do with .extra." err &&
	test_status 2 meshanics completions 2>err &&
	grep "wants 1 operand, not 0" err &&
	grep "^hint: usage: meshanics completions " err &&
	test_status 2 meshanics version -- --quiet 2>err &&
	grep "what to do with .--quiet." err
'

test_expect 'numbers are numbers in their range' '
	test_status 2 meshanics serve --loops x 2>err &&
	grep "option --loops: .x. is not a number" err &&
	test_status 2 meshanics serve --loops 0 2>err &&
	grep "option --loops: .0. is not in 1 to " err &&
	test_status 2 meshanics serve --loops 99999999999999999999 2>err &&
	test_status 2 meshanics serve --loops "" 2>err &&
	test_status 2 meshanics serve --heartbeat 5parsecs 2>err
'

test_expect 'foreign bytes cannot steer the terminal' '
	test_status 2 meshanics "$(printf "a\033[2Jb")" 2>err &&
	grep "no verb .a.x1b\[2Jb." err &&
	! grep "$(printf "\033")" err
'

test_expect 'version as a verb and as an option' '
	meshanics version >out &&
	grep "^meshanics [0-9]" out &&
	meshanics --version >out2 &&
	cmp out out2 &&
	meshanics version --verbose >out &&
	grep "^built " out
'

test_expect 'a full disk under standard output is a failure' '
	test_status 1 meshanics version >/dev/full 2>err &&
	grep "cannot write standard output: No space left on device" err &&
	test_status 1 meshanics help >/dev/full &&
	test_status 1 meshanics version --json >/dev/full
'

test_expect 'a closed standard output is a failure, and no file is taken for it' '
	test_status 1 meshanics version >&- 2>err &&
	grep "cannot write standard output" err
'

test_expect 'a reader that leaves ends the command as any filter' '
	{ meshanics help --json; echo $? >status; } | true &&
	case $(cat status) in 0 | 141) : ;; *) false ;; esac
'

test_expect 'nothing is coloured into a file or a pipe' '
	TERM=xterm test_status 2 meshanics xyzzy 2>err &&
	! grep "$(printf "\033")" err
'

# A terminal for a moment: script(1) makes one, and its standard input is what is typed.
on_terminal() {
	script -qec "$1" /dev/null
}

if command -v script >/dev/null; then
	test_expect 'errors are coloured on a terminal, unless NO_COLOR' '
		TERM=xterm on_terminal "meshanics xyzzy" </dev/null >out;
		grep "$(printf "\033")" out &&
		TERM=xterm NO_COLOR=1 on_terminal "meshanics xyzzy" </dev/null >out;
		! grep "$(printf "\033")" out &&
		TERM=dumb on_terminal "meshanics xyzzy" </dev/null >out;
		! grep "$(printf "\033")" out
	'
else
	test_skip 'errors are coloured on a terminal, unless NO_COLOR' 'script is not installed'
fi

if command -v jq >/dev/null; then
	test_expect 'errors are JSON when JSON was asked for, wherever the flag stands' '
		test_status 2 meshanics --json xyzzy 2>err &&
		test_json ".error | .kind == \"usage\" and .status == 2 and (.message | length > 0)" err &&
		test_status 2 meshanics version extra --json 2>err &&
		test_json ".error.hint | startswith(\"usage: \")" err &&
		test_status 1 meshanics version --json >/dev/full 2>err &&
		test_json ".error.kind == \"failed\"" err
	'

	test_expect 'JSON of help, version, completions and config is valid' '
		meshanics help --json >out && test_json "length > 5" out &&
		test_json "all(.[]; (.summary | length) > 0 and (.section | length) > 0)" out &&
		test_json "[.[].options[] | .help | select(endswith(\".\"))] == []" out &&
		meshanics help --json key generate >out && test_json "length == 1" out &&
		meshanics help --json key >out && test_json "length > 3" out &&
		test_status 2 meshanics help --json xyzzy 2>err && test_json ".error.kind == \"usage\"" err &&
		meshanics version --json >out && test_json ".version and (.built | fromdateiso8601 > 0)" out &&
		meshanics completions bash --json >out && test_json ".script | contains(\"COMPREPLY\")" out &&
		meshanics config show --json >out && test_json ".keys | length > 5" out &&
		meshanics config check --json >out && test_json ".keys == 0" out
	'
else
	test_skip 'errors are JSON when JSON was asked for' 'jq is not installed'
	test_skip 'JSON of help, version, completions and config is valid' 'jq is not installed'
fi

test_expect 'completion knows every verb, word by word' '
	meshanics help --names >names &&
	while read -r verb; do
		set -- $verb
		case $# in
		1) meshanics help --complete -- "$1" ;;
		2) meshanics help --complete -- "$1" "$2" ;;
		3) meshanics help --complete -- "$1" "$2" "$3" ;;
		esac | cut -f1 >found &&
		for last; do :; done &&
		grep -x -e "$last" found || { echo "at: $verb"; return 1; }
	done <names
'

test_expect 'completion knows every option of every verb' '
	while read -r verb; do
		meshanics help --options $verb </dev/null | cut -f1 | sort >want &&
		meshanics help --complete -- $verb -- </dev/null | cut -f1 | sort >found &&
		cmp want found || { echo "at: $verb"; diff want found; return 1; }
	done <names
'

test_expect 'completion offers nothing where a value belongs' '
	meshanics help --complete -- --home "" >out && test ! -s out &&
	meshanics help --complete -- version --home "" >out && test ! -s out &&
	meshanics help --complete -- --home x ver >out && grep "^version" out &&
	meshanics help --complete -- nonsense "" >out && test ! -s out &&
	meshanics help --complete >out && grep "^key" out
'

if command -v bash >/dev/null; then
	test_expect 'the script for bash asks the binary' '
		meshanics completions bash >comp.bash &&
		bash -c ". ./comp.bash; COMP_WORDS=(meshanics key gen); COMP_CWORD=2; _meshanics meshanics
			echo \"\${COMPREPLY[@]}\"" >out &&
		grep -x generate out &&
		bash -c ". ./comp.bash; COMP_WORDS=(meshanics \"\"); COMP_CWORD=1; _meshanics meshanics
			printf \"%s\n\" \"\${COMPREPLY[@]}\"" >out &&
		grep -x version out
	'
else
	test_skip 'the script for bash asks the binary' 'bash is not installed'
fi

test_expect 'completions for other shells, and for none of them' '
	meshanics completions zsh | grep "help --complete" &&
	meshanics completions fish | grep "help --complete" &&
	test_status 2 meshanics completions tcsh 2>err &&
	grep "there are some for bash, zsh and fish" err
'

test_done

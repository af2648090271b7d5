# What the demonstrations have in common; read by tests/demo*.sh, with set -eu in force. Each command is shown as one could
# type it, its answer indented below. The whole of a demonstration lies in a directory of its own, which stays.
#
#	title TEXT		the next step
#	say TEXT		a word to the reader
#	run CMD...		show it, run it; it must work. Its output is in the file `output`, too
#	refused CMD...		the same; it must end with status 3
#	start LOG CMD...	in the background, until the end; its pid is $last
#	until_true SECONDS CMD...
#	the_end			ends what was started; $seconds is how long all of it took
#
# A command that begins with `at PLACE` is shown as typed there ("PLACE$ ..."), and run by the demonstration's own function
# `at`, which puts $in_background before what it runs, so that the process that is started is the one that is ended.
# shellcheck shell=sh
# shellcheck disable=SC2034 # for those who read this

: "${MESHANICS:=$(cd "$(dirname "$0")/.." && pwd)/build/meshanics}"
PATH=$(dirname "$MESHANICS"):$PATH
LC_ALL=C
export PATH LC_ALL
unset MESHANICS_HOME MESHANICS_SERVER MESHANICS_TOKEN_FILE MESHANICS_CONFIG
T=$(mktemp -d "${TMPDIR:-/tmp}/meshanics-demo.XXXXXX")
chmod 755 "$T"
cd "$T" || exit 1
pids='' step=0 in_background='' begin=$(date +%s)

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
else
	bold='' dim='' plain=''
fi

# What was started here ends here, whatever happens.
finish() {
	code=$?
	trap - EXIT
	for p in $pids; do
		kill "$p" 2>/dev/null || :
	done
	for p in $pids; do
		wait "$p" 2>/dev/null || :
	done
	[ $code -eq 0 ] || echo "demo: stopped at step $step; everything lies in $T" >&2
	exit $code
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

title() {
	step=$((step + 1))
	printf '\n%s%d. %s%s\n' "$bold" "$step" "$1" "$plain"
}
say() { printf '%s# %s%s\n' "$dim" "$*" "$plain"; }

# The command as one types it.
show() {
	if [ "$1" = at ]; then
		printf '%s$' "$2"
		shift 2
	else
		printf '$'
	fi
	for word in "$@"; do
		case $word in
		*[!A-Za-z0-9_./:,=%@+-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
}

# ends STATUS FILE CMD...: show it, run it with its output in FILE, too; it must end with STATUS.
ends() {
	want=$1 into=$2
	shift 2
	show "$@"
	printf '\n'
	status=0
	"$@" >"$into" 2>&1 || status=$?
	sed 's/^/  /' "$into"
	[ $status -eq "$want" ] || {
		echo "demo: that ended with status $status, not $want" >&2
		exit 1
	}
}
run() { ends 0 output "$@"; }
refused() { ends 3 refusal "$@"; }
# Started in the background, its log beside it.
start() {
	log=$1
	shift
	show "$@"
	printf ' &\n'
	in_background='exec'
	"$@" >"$log" 2>&1 &
	last=$!
	in_background=
	pids="$pids $last"
}
until_true() {
	limit=$1
	shift
	i=0
	until "$@" >/dev/null 2>&1; do
		i=$((i + 1))
		[ $i -lt $((limit * 5)) ] || {
			echo "demo: waited $limit s in vain for: $*" >&2
			tail -n 20 ./*.log >&2
			return 1
		}
		sleep 0.2
	done
}
the_end() {
	trap - EXIT
	for p in $pids; do kill "$p" 2>/dev/null || :; done
	for p in $pids; do wait "$p" 2>/dev/null || :; done
	seconds=$(($(date +%s) - begin))
}

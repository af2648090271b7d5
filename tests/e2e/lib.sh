# The harness of the end-to-end tests: each tests/e2e/tNNNN-topic.sh reads this file and prints TAP.
#
#	. "$(dirname "$0")/lib.sh"
#	test_expect 'a title' '
#		meshanics verb --flag >out &&
#		test_status 3 meshanics verb --worse 2>err &&
#		grep "what it should say" err
#	'
#	test_done
#
# A script is run by this shell in the test's own directory (TEST_DIR, removed at the end), joined by &&;
# what it prints is shown when it fails, or always with -v. -k keeps the directory.
#
# Set for every test: PATH with the meshanics under test first (MESHANICS names another one), HOME in
# TEST_DIR, no MESHANICS_* or XDG_* from outside, UTC, C locale, umask 022, no terminal.
# TEST_SRC: the source tree. TEST_DATA: tests/data. TEST_TOOLS: what `make tool-bins` made of tests/tools.
#
#	test_status N CMD...		CMD ends with status N, nothing else will do
#	test_start NAME CMD...		start CMD in the background, output in NAME.log, pid in NAME.pid
#	test_stop NAME [SIGNAL]		end it (TERM) and wait; its exit status is the result
#	test_crash NAME			end it with KILL, as a power cut would
#	test_alive NAME			is it running?
#	test_wait SECONDS CMD...	repeat CMD until it succeeds
#	test_port			print a TCP port of 127.0.0.1 that is free now
#	test_at TIME CMD...		CMD sees the clock start at TIME ("2040-01-01 00:00:00" or "+3d"); needs faketime
#	test_flip FILE OFFSET		invert one byte of FILE
#	test_json FILTER FILE		jq -e on FILE
#	test_need TOOL...		skip this whole file unless all are installed (first thing in the file)
#	test_skip TITLE REASON		one test that cannot run here
#	test_disk DIR SIZE		DIR, made, is a file system of SIZE (40m) of its own; for root alone
#	test_need_root			skip this whole file unless root runs it (first thing in the file)

umask 022
LC_ALL=C TZ=UTC TERM=dumb
export LC_ALL TZ TERM
for test_v in $(env | sed -n 's/^\(MESHANICS_[A-Z_]*\|XDG_[A-Z_]*\|NO_COLOR\|[a-z]*_proxy\|[A-Z]*_PROXY\)=.*/\1/p'); do
	unset "$test_v"
done

test_verbose= test_keep=
for test_v in "$@"; do
	case $test_v in
	-v) test_verbose=1 ;;
	-k) test_keep=1 ;;
	*)
		echo "usage: $0 [-v] [-k]" >&2
		exit 2
		;;
	esac
done

TEST_SRC=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
# shellcheck disable=SC2034 # for the tests
TEST_DATA=$TEST_SRC/tests/data
: "${MESHANICS:=$TEST_SRC/build/meshanics}"
PATH=$(dirname "$MESHANICS"):$PATH
# shellcheck disable=SC2034
TEST_TOOLS=$(dirname "$MESHANICS")/tests/tools
# A sanitizer's report is told apart from every status of ours.
ASAN_OPTIONS=exitcode=99${ASAN_OPTIONS:+:$ASAN_OPTIONS}
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:exitcode=99${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
export PATH ASAN_OPTIONS UBSAN_OPTIONS
unset MESHANICS MAKEFLAGS MFLAGS MAKELEVEL

test_name=$(basename "$0" .sh)
# Short: a socket's path has room for 107 bytes.
TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/m-${test_name%%-*}.XXXXXX") || exit 1
HOME=$TEST_DIR
export HOME
test_count=0 test_failed=0 test_jobs='' test_disks='' test_finished=
cd "$TEST_DIR" || exit 1

# Still a child of this shell? After many processes their numbers come again, as somebody else's.
test_is_ours() {
	read -r test_pid test_comm test_state test_parent test_rest 2>/dev/null <"/proc/$1/stat" && [ "$test_parent" = $$ ]
}

# Of a process that has been waited for.
test_forget() {
	test_jobs=$(echo " $test_jobs " | sed "s/ $1 / /")
}

# However this file ends: no process of ours stays behind, and an early end is not taken for success.
test_exit() {
	test_code=$?
	trap - EXIT
	exec >&3 2>&3
	if [ -n "$test_finished" ]; then
		test_code=$((test_failed > 0))
	else
		echo "Bail out! $test_name ended before test_done"
		test_code=1
	fi
	for test_v in $test_jobs; do
		! test_is_ours "$test_v" || kill -KILL "$test_v" "-$test_v" 2>/dev/null
	done
	cd / || exit 1
	for test_v in $test_disks; do
		umount -l "$test_v" 2>/dev/null
	done
	if [ -n "$test_keep" ]; then
		echo "# kept: $TEST_DIR"
	else
		rm -rf "$TEST_DIR"
	fi
	exit $test_code
}
exec 3>&1
trap test_exit EXIT
trap 'exit 1' HUP INT TERM

test_report() {
	test_count=$((test_count + 1))
	echo "$1ok $test_count - $2" >&3
	if [ -n "$1" ]; then
		test_failed=$((test_failed + 1))
	fi
}

# The script in this shell, so that what it sets stays set.
test_run() {
	cd "$TEST_DIR" && eval "$1"
}

test_expect() {
	[ $# -eq 2 ] || {
		echo "Bail out! test_expect wants a title and a script, got $#" >&3
		exit 1
	}
	if [ -n "$test_verbose" ]; then
		printf '# ---- %s%s\n' "$1" "$2" >&3
		test_run "$2" >&3 2>&3 </dev/null
		test_r=$?
	else
		test_run "$2" >"$TEST_DIR/.output" 2>&1 </dev/null
		test_r=$?
	fi
	cd "$TEST_DIR" || exit 1
	if [ $test_r -eq 0 ]; then
		test_report '' "$1"
		return 0
	fi
	test_report 'not ' "$1"
	printf '%s\n' "$2" | sed 's/^/#	/' >&3
	[ -n "$test_verbose" ] || tail -n 40 .output | sed 's/^/#    /' >&3
}

test_skip() {
	test_count=$((test_count + 1))
	echo "ok $test_count - $1 # SKIP $2" >&3
}

test_need() {
	for test_v in "$@"; do
		command -v "$test_v" >/dev/null 2>&1 || {
			echo "1..0 # SKIP $test_v is not installed" >&3
			test_finished=1
			exit 0
		}
	done
}

test_need_root() {
	[ "$(id -u)" -ne 0 ] || return 0
	echo "1..0 # SKIP not root" >&3
	test_finished=1
	exit 0
}

test_disk() {
	mkdir -p "$TEST_DIR/$1" && mount -t tmpfs -o "size=$2,mode=755" meshanics-test "$TEST_DIR/$1" || return 1
	test_disks="$test_disks $TEST_DIR/$1"
}

test_done() {
	echo "1..$test_count" >&3
	test_finished=1
	exit 0
}

test_status() {
	test_want=$1
	shift
	"$@"
	test_got=$?
	[ $test_got -eq "$test_want" ] && return 0
	echo "test_status: exit $test_got, wanted $test_want: $*" >&2
	return 1
}

# A session of its own, so that at the end its children go with it.
test_start() {
	test_v=$1
	shift
	setsid "$@" >"$TEST_DIR/$test_v.log" 2>&1 </dev/null 3>&- &
	echo $! >"$TEST_DIR/$test_v.pid"
	test_jobs="$test_jobs $!"
}

# The pid is forgotten before it is waited for, so that a reused number is never signalled.
test_stop() {
	test_v=$(cat "$TEST_DIR/$1.pid") || return 1
	kill -"${2:-TERM}" "$test_v" || return 1
	(
		sleep 20
		! test_is_ours "$test_v" || kill -KILL "$test_v"
	) >/dev/null 2>&1 3>&- &
	test_guard=$!
	wait "$test_v"
	test_r=$?
	kill -KILL $test_guard 2>/dev/null	# TERM would wait for its sleep when it has not yet dropped our trap
	wait $test_guard 2>/dev/null
	rm -f "$TEST_DIR/$1.pid"
	test_forget "$test_v"
	[ $test_r -lt 99 ] || tail -n 30 "$TEST_DIR/$1.log" >&2
	return $test_r
}

# Without test_stop's guard: nothing outlives KILL, and a guard that is ended in its first moment may sleep on.
test_crash() {
	test_v=$(cat "$TEST_DIR/$1.pid") || return 1
	kill -KILL "$test_v" 2>/dev/null	# it may have been killed with its group; wait tells
	wait "$test_v"
	test_r=$?
	rm -f "$TEST_DIR/$1.pid"
	test_forget "$test_v"
	[ $test_r -eq 137 ]
}

test_alive() {
	kill -0 "$(cat "$TEST_DIR/$1.pid")"
}

test_wait() {
	test_left=$(($1 * 10))
	shift
	until "$@" >"$TEST_DIR/.wait" 2>&1; do
		test_left=$((test_left - 1))
		if [ $test_left -le 0 ]; then
			cat "$TEST_DIR/.wait" >&2
			echo "test_wait: never came true: $*" >&2
			return 1
		fi
		sleep 0.1
	done
}

test_port() {
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die;
		print $s->sockport, "\n";'
}

test_own_clock=$TEST_SRC/tests/e2e/own-clock.sh
# What a program preloaded with faketime's library is preloaded with.
# shellcheck disable=SC2016 # the inner shell's
test_preload() {
	"$test_own_clock" faketime -f +0 sh -c 'echo "$LD_PRELOAD"'
}

test_at() {
	test_v=$1
	shift
	ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 "$test_own_clock" faketime -f "$(case $test_v in
		[+-]*) echo "$test_v" ;;
		*) echo "@$test_v" ;;
	esac)" "$@"
}

test_flip() {
	perl -e '
		open(my $f, "+<", $ARGV[0]) or die "$ARGV[0]: $!";
		binmode($f);
		seek($f, $ARGV[1], 0);
		read($f, my $c, 1) == 1 or die "offset $ARGV[1] is past the end";
		seek($f, $ARGV[1], 0);
		print $f chr(ord($c) ^ 0xff);
		close($f) or die;' "$1" "$2"
}

# jq 1.6 is content with an empty file.
test_json() {
	{ [ -s "$2" ] && jq -e "$1" "$2"; } || {
		echo "test_json: $1 does not hold in $2:" >&2
		cat "$2" >&2
		return 1
	}
}

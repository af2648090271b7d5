# For the tests against other TUF tools, in place of tests/e2e/lib.sh, which it reads. `make interop` runs them: it has
# installed the npm packages (tests/interop/npm.sh) and built the judge.
#
#	serve NAME DIR		serve DIR/metadata and DIR/targets on loopback; SERVED: its URL
#	asked NAME		what has been asked for since the last time: a line each, status and path
#	tufjs STATE PATH...	tuf-js updates from SERVED and downloads; its report is STATE.json, its files are in STATE.got/
#	tufours STATE PATH...	our tuf-client does; its files are in STATE.got/
# shellcheck shell=sh
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
command -v node >/dev/null 2>&1 || test_need nodejs	# the package is not called as the program is
test_need npm jq

: "${INTEROP_MODULES:=$TEST_SRC/build/interop/node_modules}"
export INTEROP_MODULES
[ -d "$INTEROP_MODULES/tuf-js" ] || {
	echo "Bail out! tuf-js is not installed in $INTEROP_MODULES: run make interop"
	exit 1
}

serve() {
	rm -f "$1.port" "$1.seen" && : >"$1.seen" &&
		test_start "$1" node "$TEST_SRC/tests/interop/serve.js" "$2" "$1.port" &&
		test_wait 20 test -s "$1.port" && SERVED=http://127.0.0.1:$(cat "$1.port")
}

asked() {
	tail -n "+$(($(wc -l <"$1.seen") + 1))" "$1.log" >"$1.asked" &&
		cat "$1.asked" >>"$1.seen" && cat "$1.asked"
}

tufjs() {
	interop_s=$1
	shift
	mkdir -p "$interop_s.got" &&
		node "$TEST_SRC/tests/interop/update.js" "$interop_s" "$SERVED" "$interop_s.got" "$@" >"$interop_s.json"
}

tufours() {
	interop_s=$1
	shift
	mkdir -p "$interop_s.got" || return 1
	for interop_p in "$@"; do
		set -- "$@" --target-name "$interop_p"
		shift
	done
	meshanics tuf-client --metadata-dir "$interop_s" --metadata-url "$SERVED/metadata/" "$@" \
		--target-dir "$interop_s.got" --target-base-url "$SERVED/targets/" download
}

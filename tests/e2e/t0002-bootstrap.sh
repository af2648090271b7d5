#!/bin/sh
# bootstrap installs what is missing and nothing else, and stops politely where there is no Debian.
. "$(dirname "$0")/lib.sh"

REAL_SH=$(command -v sh)

stub() {
	{ printf '#!%s\n' "$REAL_SH"; cat; } >"bin/$1" && chmod +x "bin/$1"
}

# machine UID MISSING: bin/ holds the only tools there are; apt-get, make and sudo write down their calls.
machine() {
	rm -rf bin tree calls && mkdir bin tree && cp "$TEST_SRC/bootstrap" tree/ && : >calls &&
	for tool in sh cat cut dirname env grep nproc sed tr; do
		ln -s "$(command -v $tool)" bin/$tool || return 1
	done &&
	echo "echo apt-get \"\$@\" >>$TEST_DIR/calls" | stub apt-get &&
	echo "echo make \"\$@\" >>$TEST_DIR/calls" | stub make &&
	echo "echo sudo >>$TEST_DIR/calls; \"\$@\"" | stub sudo &&
	echo "echo $1" | stub id &&
	echo "[ \"\$4\" = \"$2\" ] || echo ii" | stub dpkg-query
}
go() {
	(PATH=$TEST_DIR/bin && export PATH && tree/bootstrap "$@")
}

test_expect 'with everything there, it only builds, without root' '
	machine 1000 "" && go && cat calls && test "$(cat calls)" = "make -j $(nproc)"
'
test_expect 'what is missing is installed, by sudo for a user' '
	machine 1000 libsodium-dev && go && cat calls &&
	grep "^apt-get install .* libsodium-dev$" calls && ! grep libyaml calls && grep sudo calls && grep "^make" calls
'
test_expect 'root needs no sudo' '
	machine 0 libsodium-dev && go && grep "^apt-get install" calls && ! grep sudo calls
'
test_expect 'a user without sudo is told what needs root' '
	machine 1000 libsodium-dev && rm bin/sudo &&
	test_status 1 go 2>err && grep "needs root: apt-get" err && ! grep make calls
'
test_expect 'check wants the tools of tests as well' '
	machine 0 jq && go && ! grep apt-get calls && go check && grep "install .* jq$" calls && grep "^make .* check$" calls
'
test_expect 'elsewhere it names the packages and stops' '
	machine 0 "" && rm bin/apt-get &&
	test_status 1 go 2>err && grep "not Debian" err && grep "libbearssl-dev" err && test ! -s calls
'
test_expect 'an unknown word is a usage error' '
	machine 0 "" && test_status 2 go everything 2>err && grep "bootstrap check" err && test ! -s calls
'
test_expect 'the packages can be asked for' '
	machine 0 "" && go packages >out && grep "^build-essential .*libyaml-dev $" out &&
	go packages check >out && grep openssl out && test ! -s calls
'
test_done

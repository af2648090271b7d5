#!/bin/sh
# tests/lint finds each kind of fault it is there for, and passes a tree without any.
. "$(dirname "$0")/lib.sh"

LINT=$TEST_SRC/tests/lint

# A small tree that is as it should be.
fresh() {
	rm -rf tree && mkdir -p tree/lib/base tree/lib/sys tree/cli tree/commands tree/agent tree/tests/unit &&
	cp "$TEST_SRC/lib/base/banned.h" tree/lib/base/ &&
	printf '/* A header that says what it is. */\nint f(void);\n' >tree/lib/base/f.h &&
	printf '/* The source of that header. */\n#include "base/f.h"\n\nint f(void)\n{\n\treturn 0;\n}\n' >tree/lib/base/f.c &&
	printf '/* The door of the device process. */\nint agent(void);\n' >tree/agent/agent.h &&
	printf '/* The port of the commands. */\nint command(void);\n' >tree/commands/command.h
}

# refused FILE WORD: put standard input after a good head into FILE; lint must fail, naming the file and WORD.
refused() {
	fresh && { echo '/* A file with one fault below. */'; cat; } >"tree/$1" &&
	test_status 1 "$LINT" tree >out && grep "^# $1:.*$2" out
}

accepted() {
	fresh && { echo '/* A file without any fault below. */'; cat; } >"tree/$1" && "$LINT" tree
}

test_expect 'a good tree passes' '
	fresh && "$LINT" tree
'
test_expect 'include arrows that point the wrong way are refused' '
	echo "#include \"sys/x.h\"" | refused lib/base/x.c "after .base" &&
	echo "#include \"commands/command.h\"" | refused lib/base/x.c "from .lib. to .commands" &&
	echo "#include \"agent/agent.h\"" | refused lib/sys/x.c "from .lib. to .agent" &&
	echo "#include \"cli/x.h\"" | refused commands/x.c "from .commands. to .cli" &&
	echo "#include \"commands/command.h\"" | refused agent/x.c "from .agent. to .commands" &&
	echo "#include \"agent/agent.h\"" | refused cli/x.c "from .cli. to .agent" &&
	echo "#include \"agent/agent.h\"" | refused commands/x.c "from .commands. to .agent" &&
	echo "#include \"../base/f.h\"" | refused lib/base/x.c "names no room" &&
	echo "#include \"lib/base/f.h\"" | refused cli/x.c "names no room" &&
	echo "  #  include \"f.h\"" | refused lib/base/x.c "names no room"
'
test_expect 'include arrows that point the right way pass' '
	echo "#include \"base/f.h\"" | accepted lib/sys/x.c &&
	echo "#include \"commands/command.h\"" | accepted cli/x.c &&
	echo "#include \"agent/agent.h\"" | accepted commands/agent_run.c &&
	echo "/* #include \"commands/command.h\" */" | accepted lib/base/x.c
'
test_expect 'a room that is not in the list is refused' '
	fresh && mkdir tree/lib/attic && printf "/* A file in a strange room. */\n#include \"base/f.h\"\n" >tree/lib/attic/x.c &&
	test_status 1 "$LINT" tree >out && grep "attic.* not in the list" out
'
test_expect 'changes to a disk outside lib/sys are refused, but for descriptors that are no files' '
	for call in "open(a, 0)" "openat(1, a, 0)" "pwrite(1, a, 1, 0)" "renameat2(1, a, 1, a, 0)" "unlink(a)" "mkdirat(1, a, 0)" \
		"ftruncate(1, 0)" "fsync(1)" "fdatasync(1)" "fchmodat(1, a, 0, 0)" "chown(a, 0, 0)" "futimens(1, 0)" \
		"fopen(a, a)" "fallocate(1, 0, 0, 0)" "link(a, a)" "symlinkat(a, 1, a)"; do
		echo "int x(char *a) { return $call; }" | refused lib/base/x.c "${call%%(*}" || return 1
		echo "int x(char *a) { return $call; }" | accepted lib/sys/x.c || return 1
	done
	echo "int x(char *a) { return write(1, a, 1); }" | refused agent/x.c write &&
	echo "int x(char *a) { return write(1, a, 1); }" | accepted agent/probe.c &&
	echo "int x(char *a) { return rename(a, a); }" | refused agent/probe.c rename &&
	echo "int x(char *a) { return sys_unlink(1, a, 0) + file_write(a) + a->open(a); }" | accepted agent/x.c
'
test_expect 'banned functions are refused, in any layout' '
	echo "int x(char *a) { return atoi(a); }" | refused cli/x.c atoi &&
	echo "void x(char *a) { strcpy	(a, a); }" | refused lib/base/x.c strcpy &&
	echo "void x(char *a) { system(a); }" | refused agent/x.c system &&
	echo "void *x(void) { return alloca(3); }" | refused lib/sys/x.c alloca
'
test_expect 'their names in text, comments and members are not' '
	echo "/* atoi(x) would be wrong */ const char *a = \"system(1)\", b = 0x27;" | accepted cli/x.c &&
	echo "int x(struct s *s) { return s->system(1) + file_system(2); }" | accepted cli/x.c
'
test_expect 'lib/ may not print, exit or read the environment' '
	echo "void x(void) { printf(\"a\"); }" | refused lib/base/x.c printf &&
	echo "void x(void) { puts(\"a\"); }" | refused lib/base/x.c puts &&
	echo "void x(void) { fputs(\"a\", stdout); }" | refused lib/base/x.c stdout &&
	echo "void x(void) { exit(1); }" | refused lib/base/x.c exit &&
	echo "void x(void) { getenv(\"A\"); }" | refused lib/base/x.c getenv &&
	echo "void x(void) { printf(\"a\"); exit(getenv(\"A\") != 0); }" | accepted cli/x.c &&
	echo "void x(void) { buf_printf(\"a\"); snprintf(\"a\"); _exit(1); }" | accepted lib/base/x.c
'
test_expect 'a file without a sentence at its head is refused' '
	fresh && echo "int x;" >tree/cli/x.c && test_status 1 "$LINT" tree >out && grep "cli/x.c:1: no comment" out &&
	fresh && echo "/* x.c */" >tree/cli/x.c && test_status 1 "$LINT" tree >out && grep "cli/x.c:1: .*not a sentence" out &&
	fresh && printf "\n/* One line too late for this. */\n" >tree/cli/x.c && test_status 1 "$LINT" tree &&
	fresh && echo "int x;" >tree/tests/unit/x.c && test_status 1 "$LINT" tree &&
	fresh && printf "#!/bin/sh\nexit 0\n" >tree/bootstrap && test_status 1 "$LINT" tree >out && grep "bootstrap:1" out
'
test_expect 'comments to the end of the line are refused' '
	echo "int x; // why" | refused cli/x.c "// why" &&
	echo "/* a // b */ const char *u = \"http://x\";" | accepted cli/x.c
'
todo=TO; todo=${todo}DO
test_expect 'work left for later and white space at the end are refused' '
	echo "int x; /* $todo: more */" | refused cli/x.c $todo &&
	printf "int x; \n" | refused cli/x.c "white space"
'
test_expect 'a header that does not compile alone is refused' '
	echo "size_t f(void);" | refused lib/base/x.h size_t
'
test_done

#!/bin/sh
# Passphrases and other questions: from files, descriptors and a terminal, and what happens without any.
. "$(dirname "$0")/lib.sh"

test_expect 'without a terminal and a flag: a usage error that names the flags' '
	test_status 2 setsid -w meshanics key generate a --home h 2>err &&
	grep "^meshanics: no terminal to ask for the passphrase for " err &&
	grep "^hint: give --passphrase-file FILE or --passphrase-fd N$" err &&
	test ! -e h/keys/a.key
'

test_expect 'a passphrase from a file; one newline at its end is dropped' '
	umask 077 &&
	echo secret >pass && printf secret >pass2 && echo wrong >pass3 &&
	meshanics key generate a --home h --passphrase-file pass &&
	meshanics key passwd a --home h --passphrase-file pass2 --new-passphrase-file pass3 &&
	test_status 3 meshanics key passwd a --home h --passphrase-file pass --new-passphrase-file pass 2>err &&
	grep -i "wrong passphrase" err &&
	meshanics key passwd a --home h --passphrase-file pass3 --new-passphrase-file pass
'

test_expect 'a passphrase from a descriptor: each question takes the next line' '
	printf "secret\nother\n" |
		meshanics key passwd a --home h --passphrase-fd 0 --new-passphrase-fd 0 &&
	printf "other\nsecret" |
		meshanics key passwd a --home h --passphrase-fd 0 --new-passphrase-fd 0 &&
	printf "secret\n" >five &&
	meshanics key passwd a --home h --passphrase-fd 5 --new-passphrase-file pass 5<five &&
	test_status 2 meshanics key passwd a --home h --passphrase-fd 0 --new-passphrase-fd 0 <five 2>err &&
	grep "no passphrase on descriptor 0" err &&
	test_status 1 meshanics key passwd a --home h --passphrase-fd 9 --new-passphrase-fd 9 2>err
'

test_expect 'a passphrase from a pipe that looks like a file' '
	echo secret | meshanics key passwd a --home h --passphrase-file /dev/stdin --new-passphrase-file pass
'

test_expect 'passphrases that are refused: empty, too long, readable by others, absent, given twice' '
	: >empty &&
	test_status 2 meshanics key generate b --home h --passphrase-file empty 2>err &&
	grep "the passphrase for .* is empty" err &&
	head -c 1025 /dev/zero | tr "\0" x >long &&
	test_status 3 meshanics key generate b --home h --passphrase-file long 2>err &&
	grep "larger than 1024 bytes" err &&
	test_status 3 meshanics key generate b --home h --passphrase-fd 0 <long 2>err &&
	echo secret >open && chmod 640 open &&
	test_status 3 meshanics key generate b --home h --passphrase-file open 2>err &&
	grep "is open to group or others (mode 0640)" err &&
	grep "^hint: chmod 600 .open." err &&
	test_status 1 meshanics key generate b --home h --passphrase-file none 2>err &&
	test_status 2 meshanics key generate b --home h --passphrase-file pass --passphrase-fd 0 2>err <pass &&
	grep "exclude each other" err &&
	test ! -e h/keys/b.key
'

test_expect 'the variable stands in for the option, and the line goes first' '
	MESHANICS_PASSPHRASE_FILE=pass meshanics key generate c --home h &&
	MESHANICS_PASSPHRASE_FILE=pass meshanics key generate d --unsealed --home h &&
	echo secret | MESHANICS_PASSPHRASE_FILE=none meshanics key passwd c --home h --passphrase-fd 0 \
		--new-passphrase-file pass
'

command -v script >/dev/null || {
	test_skip 'questions at a terminal' 'script is not installed'
	test_done
}

# script(1) gives the command a terminal of its own; the lines of standard input are typed as they are asked for.
typed() {
	for line; do
		sleep 0.5
		echo "$line"
	done
	sleep 0.5
}

test_expect 'at the terminal: asked twice, without echo' '
	typed hidden1 hidden1 | script -qec "meshanics key generate t --home h" /dev/null >out &&
	grep "New passphrase for .*t.*: " out &&
	grep "Same passphrase again for .*t.*: " out &&
	! grep hidden1 out &&
	printf hidden1 >pass4 && chmod 600 pass4 &&
	meshanics key passwd t --home h --passphrase-file pass4 --new-passphrase-file pass
'

test_expect 'at the terminal: two answers that differ' '
	typed one two | test_status 2 script -qec "meshanics key generate u --home h" /dev/null >out;
	grep "the two passphrases differ" out &&
	test ! -e h/keys/u.key
'

test_expect 'interrupted at the question: the terminal has its echo back' '
	{ sleep 0.5; printf "\003"; sleep 0.5; } |
		script -qec "trap : INT; meshanics key generate v --home h; stty -a" /dev/null >out;
	grep "Passphrase\|passphrase for v" out &&
	grep "[^-]echo " out &&
	test ! -e h/keys/v.key
'

test_done

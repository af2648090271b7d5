#!/bin/sh
# The stories of meshanics-ceremonies(7): the page's own commands, typed by the people of the page, and what comes of them.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
test_need jq perl faketime

page=$TEST_SRC/man/meshanics-ceremonies.7
stick=$TEST_DIR/stick
told=$TEST_DIR/told
mkdir "$stick"
echo 'a long walk by the sea' >pass && chmod 600 pass

# The commands of a section of the page, one a line: PERSON TAB COMMAND.
commands_of() {
	awk -v title="$1" '
	/^\.S[sh] / { inside = substr($0, 5) == title }
	/^\.Bd -literal/ { block = inside; next }
	/^\.Ed/ { block = 0 }
	!block { next }
	{
		gsub(/\\&/, "")
		more = sub(/\\e$/, "")
		if (continued) {
			sub(/^ +/, "")
			text = text $0
		} else {
			person = $0
			sub(/\$ .*/, "", person)
			text = $0
			sub(/^[a-z]+\$ +/, "", text)
		}
		continued = more
		if (!more)
			print person "\t" text
	}' "$page"
}

# What happens beside the page: the passphrase is typed, alice tells the digits, the signer types them.
cat >person.sh <<'END'
meshanics() {
	case "$1 $2" in
	'ceremony new' | 'ceremony rotate' | 'ceremony delegate')
		command meshanics "$@" >"$TOLD.statement" || return
		cat "$TOLD.statement"
		sed -n 's/^fingerprint  \([0-9a-f]\{16\}\).*/\1/p' "$TOLD.statement" >"$TOLD"
		;;
	'ceremony sign') command meshanics "$@" --fingerprint "$(cat "$TOLD")" ;;
	*) command meshanics "$@" ;;
	esac
}
cd "$(cat ~/.cwd)" || exit
eval "$1" || exit
pwd >~/.cwd
END

# at PERSON COMMAND: one line, on that person's machine.
at() {
	story_p=$TEST_DIR/people/$1
	if [ ! -d "$story_p" ]; then
		mkdir -p "$story_p" && ln -s "$stick" "$story_p/stick" && echo "$story_p" >"$story_p/.cwd" || return
	fi
	HOME=$story_p MESHANICS_HOME=$story_p/.meshanics MESHANICS_PASSPHRASE_FILE=$TEST_DIR/pass TOLD=$told \
		sh "$TEST_DIR/person.sh" "$2"
}

# story TITLE: all commands of the section, each of which must succeed; their output is in `out`.
story() {
	commands_of "$1" >commands
	test -s commands || { echo "the page has no commands under '$1'"; return 1; }
	echo "$1" >>stories.told
	: >out
	while IFS='	' read -r story_who story_what; do
		echo "$story_who\$ $story_what"
		at "$story_who" "$story_what" >out.line 2>&1 </dev/null || {
			cat out.line
			echo "failed: $story_who\$ $story_what"
			return 1
		}
		cat out.line && cat out.line >>out
	done <commands
}

# A web server for the tree of one box, which says where it is in NAME.port; GET of whole files only.
cat >web.pl <<'END'
use IO::Socket::INET;
my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1") or die;
open(my $p, ">", "$ARGV[1].new") or die;
print $p $s->sockport;
close($p);
rename("$ARGV[1].new", $ARGV[1]);
while (my $c = $s->accept) {
	my ($path) = (<$c> // "") =~ m{^GET (/[^ ]*) } or next;
	while (defined(my $l = <$c>)) { last if $l eq "\r\n" }
	my $f;
	if ($path !~ /\.\./ && open($f, "<", "$ARGV[0]$path")) {
		local $/;
		my $body = <$f>;
		print $c "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
	} else {
		print $c "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	}
	close($c);
}
END
web() {
	test_start "$1" perl web.pl "$TEST_DIR/people/$1/.meshanics/repo" "$1.port" && test_wait 10 test -s "$1.port"
}

# device NAME BOX: it takes what the tree of BOX says is newest.
device() {
	meshanics tuf-client --metadata-dir "$1" --metadata-url "http://127.0.0.1:$(cat "$2.port")/metadata/" refresh
}
# device_gets NAME BOX TARGET
device_gets() {
	mkdir -p "$1.files"
	meshanics tuf-client --metadata-dir "$1" --metadata-url "http://127.0.0.1:$(cat "$2.port")/metadata/" \
		--target-name "$3" --target-dir "$1.files" --target-base-url "http://127.0.0.1:$(cat "$2.port")/targets/" download
}
device_new() {
	mkdir "$1" && meshanics tuf-client --metadata-dir "$1" init "$2"
}
root_of() { jq .signed.version "$1/root.json"; }
alice() { echo "$TEST_DIR/people/alice/$1"; }

test_expect 'keys and online keys are made, and a rehearsal leads nowhere' '
	story Before &&
	test "$(ls "$stick")" = "alice.pub
bob.pub
carol.pub
online-keys.json" &&
	! grep -ri secret "$stick" &&
	story "A rehearsal" && grep "^REHEARSAL" out &&
	test_status 3 at hq "meshanics repo adopt $(alice practice/root.json) $(alice practice/targets.json)"
'

test_expect 'the first request: nothing is finished before two have signed' '
	story "The request" &&
	grep "any 2 of these 3 keys may replace this root" out &&
	grep "called .carol. in the request" out &&
	test_status 3 at alice "meshanics ceremony finish request.json ." 2>err && grep "missing" err &&
	at alice "meshanics ceremony status request.json ." >status && grep "0 of the 2 signatures" status &&
	grep "alice ([0-9a-f]*...) and bob ([0-9a-f]*...)" status &&
	test_status 3 at alice "meshanics ceremony finish request.json ." &&
	test ! -e "$stick/root.json"
'

test_expect 'digits that were misheard sign nothing' '
	cp told told.right && echo 0000000000000000 >told &&
	test_status 3 at carol "cd ~/stick && meshanics ceremony sign request.json --key carol" && test ! -e "$stick/answer-carol.json" &&
	mv told.right told
'

test_expect 'two of three make a root, and devices take it' '
	story "Two signatures" && story "The table" &&
	grep "answer-carol.json: carol ([0-9a-f]*...) has seen [0-9a-f]*... and signed root at " out &&
	grep "answer-alice.json: alice ([0-9a-f]*...) has seen [0-9a-f]*... and signed root targets at" out &&
	grep "complete: meshanics ceremony finish" out &&
	story "In force" &&
	test "$(ls "$stick")" = "" &&
	web hq && device_new old "$(alice first/root.json)" && device old hq &&
	at hq "echo one >plc && meshanics sign plc --namespace plant --name plc --version 1.0" &&
	device_gets old hq plant/plc/1.0
'

test_expect 'afterwards anybody can check it' '
	story Afterwards && grep "^all of it holds" out && ! grep "unproven\|BROKEN" out
'

# broken FILE ARG...: alice verifies the first ceremony with these arguments, and it does not hold because of FILE.
broken() {
	story_f=$1
	shift
	test_status 3 at alice "meshanics ceremony verify $*" >out 2>err && cat out &&
		grep "^BROKEN    $story_f: " out && grep "'$story_f'" err
}
test_expect 'what no transcript covers is told, and refused when asked' '
	v="request.json answer-alice.json answer-carol.json root.json targets.json" &&
	at alice "meshanics ceremony verify $v" >out && grep "^unproven  answer-carol.json: no transcript" out && grep "^nothing speaks against it, 1 unproven" out &&
	test_status 3 at alice "meshanics ceremony verify --strict $v" 2>err && grep "answer-carol.json.: no transcript" err &&
	at alice "meshanics ceremony verify --strict --transcript carol.transcript $v --json" >v.json &&
	test_json ".holds and (.checks | length) > 6 and all(.checks[]; .verdict == \"holds\")" v.json
'

test_expect 'and what was changed later shows' '
	at alice "cp -r . ~/changed && cd ~/changed" && cd "$(alice changed)" &&
	sed "s/\(\"time\":\"20..\)/\1-01-01T00:00:00Z\",\"x\":\"/" carol.transcript >member &&
	broken member --transcript member $v &&
	sed "s/\"time\":\"20../\"time\":\"2031/" carol.transcript >time && broken answer-carol.json --transcript time $v &&
	grep "bears another time than line 1 of .time." out &&
	head -c 300 carol.transcript >cut && broken cut --transcript cut $v &&
	: >empty && broken empty --transcript empty $v &&
	tail -n 1 "$(alice .meshanics/ceremony/transcript)" >last && broken last --transcript last $v &&
	jq -c "del(.signatures[1])" root.json >less.json && broken less.json request.json answer-*.json less.json &&
	broken root.json request.json answer-alice.json root.json targets.json &&
	jq ".signed.expires = \"2090-01-01T00:00:00Z\"" targets.json >later.json && broken later.json $v later.json &&
	jq ".signed_at = \"2027-01-01T00:00:00Z\"" answer-carol.json >moved.json && broken moved.json $v moved.json &&
	jq ".nonce |= (if .[0:1] == \"0\" then \"1\" else \"0\" end) + .[1:]" request.json >other.json &&
	broken answer-alice.json other.json answer-*.json root.json targets.json &&
	at alice "cd ~/stick"
'

test_expect 'the date moves on, and nothing else does' '
	story "The date moves on" && grep "no publisher changes; the date does" out && grep "no key changes; the date does" out &&
	device old hq && test "$(root_of old)" = 2 && test "$(jq .signed.version old/targets.json)" = 3
'

test_expect 'a lost key is replaced, and counts no more' '
	story "A key is lost" &&
	grep "bob. ([0-9a-f]*...) may NO LONGER help to replace this root, say who publishes what by itself" out &&
	grep "bob2. ([0-9a-f]*...) may now help to replace this root, say who publishes what by itself" out &&
	device old hq && test "$(root_of old)" = 3 &&
	at alice "cd ~ && meshanics ceremony rotate --root site/root.json -o next.json" &&
	test_status 3 at bob "meshanics ceremony sign $(alice next.json) --key bob -o x.json" 2>err && grep "not named" err &&
	at bob "meshanics ceremony sign $(alice next.json) --key bob2 -o ~/x.json" && at alice "rm next.json && cd ~/stick"
'

test_expect 'the threshold changes: two of the old are too few for the new' '
	story "The threshold changes" &&
	grep "it takes 3 of 4 keys to replace this root; before, it took 2 of 3" out &&
	grep "^  carol (" out && grep "^  dave (" out && grep "^not complete" out &&
	device old hq && test "$(root_of old)" = 4 &&
	cp -r "$(alice threshold)" few && cd few && rm root.json &&
	at alice "cd $TEST_DIR/few" &&
	test_status 3 at alice "meshanics ceremony finish request.json answer-alice.json answer-bob2.json" 2>err &&
	grep "root has 2 of the 3 signatures" err && test ! -e root.json && at alice "cd ~/stick"
'

test_expect 'targets gets a third key, and needs two' '
	story "A new key for targets" && grep "it takes 2 of 3 keys to say who publishes what; before, it took 1 of 2" out &&
	device old hq && test "$(root_of old)" = 5 &&
	cd "$(alice targets-key)" && jq "del(.signatures[0])" targets.json >"$TEST_DIR/one.json" && cd "$TEST_DIR" &&
	test_status 3 at hq "meshanics repo adopt $(alice targets-key/root.json) $TEST_DIR/one.json" 2>err
'

test_expect 'a stolen key counts no more' '
	story "A key is stolen" && grep "carol. ([0-9a-f]*...) may NO LONGER help to replace this root" out &&
	device old hq && test "$(root_of old)" = 6 &&
	at alice "cd ~ && meshanics ceremony rotate --root site/root.json -o next.json" &&
	test_status 3 at carol "meshanics ceremony sign $(alice next.json) --key carol -o x.json" 2>err && grep "not named" err &&
	at alice "rm next.json && cd ~/stick"
'

# The thief has a copy of the box, and signs far in the future: whoever believes that takes nothing from HQ any more.
test_expect 'the box is broken into, and devices are led astray' '
	cp -R people/hq people/thief && echo "$TEST_DIR/people/thief" >people/thief/.cwd && rm people/thief/plc &&
	HOME=$TEST_DIR/people/thief MESHANICS_HOME=$TEST_DIR/people/thief/.meshanics \
		test_at +90d meshanics repo refresh --force --accept-clock &&
	web thief && cp -R old astray && device astray thief &&
	device old hq && test_status 1 device astray hq 2>err && grep "older\|5\.[45]\." err
'

test_expect 'new online keys end it, also for those led astray' '
	story "The box is broken into" &&
	grep "devices forget what the former online keys called newest" out &&
	grep "may NO LONGER say which versions belong together" out && grep "may NO LONGER say what is newest" out &&
	grep "publisher .releases2. is new" out && grep "publisher .releases. may publish NOTHING any more" out &&
	device old hq && device astray hq && test "$(root_of astray)" = 7 &&
	test_status 1 device astray thief && test_status 1 device old thief &&
	test_status 1 device_gets old hq plant/plc/1.0 2>err &&
	at hq "meshanics sign plc --namespace plant --name plc --version 1.0" && device_gets astray hq plant/plc/1.0 &&
	at hq "meshanics repo refresh --force && meshanics repo verify && meshanics repo status" >out && ! grep "new online keys wait" out &&
	test ! -e people/hq/.meshanics/repo/keys-next && test ! -e people/hq/.meshanics/repo/online-keys-next.json
'

test_expect 'one who was away for all of this follows the chain' '
	device_new late "$(alice first/root.json)" && device late hq && test "$(root_of late)" = 7
'

test_expect 'a build server publishes in its slice, and only there' '
	story "A new publisher" && grep "publisher .ci. is new" out && device old hq &&
	key=$TEST_DIR/people/ci/.meshanics/keys/ci.key &&
	at hq "echo lab >probe && meshanics sign probe --namespace lab --name probe --version 1 --key $key" &&
	test_status 3 at hq "meshanics sign probe --namespace plant --name probe --version 1 --key $key" &&
	device_gets old hq lab/probe/1
'

test_expect 'its key is stolen, and another name has the slice' '
	story "A build server is broken into" && grep "publisher .ci. may publish NOTHING any more; before: lab/" out &&
	key=$TEST_DIR/people/ci/.meshanics/keys &&
	test_status 3 at hq "meshanics sign probe --namespace lab --name probe --version 2 --key $key/ci.key" &&
	test_status 1 device_gets old hq lab/probe/1 2>err &&
	at hq "meshanics sign probe --namespace lab --name probe --version 3 --key $key/ci2.key" &&
	device_gets old hq lab/probe/3
'

test_expect 'a new site under the same keys: neither takes the root of the other' '
	story "A new site" && grep "ROOT of site .depot-7., version 1" out &&
	grep "takes the targets of site .main. as they are" out && grep "site depot-7  root version 1, new" out && grep "root of depot-7 .* ok" out &&
	d=$(alice depot-7) && test_json ".signed[\"x-meshanics\"].record_keys.export | length == 1" "$d/root.json" && test ! -e "$d/targets.json" &&
	test_status 3 at depot "meshanics repo adopt $(alice site/root.json) $(alice site/targets.json)" 2>err && cat err &&
	test_status 3 at alice "meshanics ceremony rotate --root ~/site/root.json --online-keys $d/online-keys.json -o x.json" 2>err &&
	grep "online keys are of site .depot-7., the root is of site .main." err &&
	web depot && device_new there "$d/root.json" && device there depot &&
	test_status 1 device there hq && test_status 1 device old depot && device old hq
'

test_expect 'its next root comes alone, and its devices follow it' '
	story "What happens to the site" && grep "site depot-7  root version 2, new" out && grep "devices forget what the former online keys" out &&
	device there depot && test "$(root_of there)" = 2 && at hq "meshanics repo verify" && at depot "meshanics repo verify"
'

test_expect 'no story of the page was left out' '
	sed -n "s/^\.S[sh] //p" "$page" | while IFS= read -r title; do
		commands_of "$title" | grep -q . && echo "$title"
	done >stories.page
	cat stories.page && diff stories.page stories.told &&
	test "$(grep -c "^[a-z]*\$ " "$page")" = "$(while IFS= read -r title; do commands_of "$title"; done <stories.page | wc -l)"
'

test_done

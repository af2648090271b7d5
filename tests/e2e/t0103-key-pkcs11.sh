#!/bin/sh
# Keys in hardware, for which SoftHSM stands: made, adopted, listed, used in ceremonies and for signing online; judged by
# openssl, ssh-keygen and the TUF client. And every way in which a token, its PIN or its module can fail.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/fleet.sh
. "$TEST_SRC/tests/e2e/fleet.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need softhsm2-util jq openssl ssh-keygen curl perl

module=
for test_v in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so; do
	[ -e "$test_v" ] && module=$test_v && break
done
[ -n "$module" ] || test_need libsofthsm2.so

mkdir tokens
cat >softhsm2.conf <<END
directories.tokendir = $TEST_DIR/tokens
objectstore.backend = file
log.level = ERROR
END
SOFTHSM2_CONF=$TEST_DIR/softhsm2.conf
export SOFTHSM2_CONF
# SoftHSM leaves memory behind in OpenSSL, which nothing of ours uses.
echo leak:libcrypto.so >leaks
LSAN_OPTIONS=suppressions=$TEST_DIR/leaks:print_suppressions=0
export LSAN_OPTIONS
printf '271828\n' >pin && printf '000000' >wrong && chmod 600 pin wrong

# uri ATTRIBUTES [QUERY]: in the token of this test.
uri() {
	echo "pkcs11:token=$1?module-path=$module${2:+&$2}"
}
token_init() {
	softhsm2-util --init-token --free --label "$1" --pin 271828 --so-pin 314159
}
# The tokens of this test are pulled out, and put back.
tokens_out() { mkdir gone && mv tokens/* gone; }
tokens_in() { mv gone/* tokens && rmdir gone; }
# refused STATUS WORDS URI [ARG...]: key generate does not, says so, and leaves nothing.
refused() {
	refused_s=$1 refused_w=$2 refused_u=$3
	shift 3
	test_status "$refused_s" as alice key generate x --pkcs11 "$refused_u" --passphrase-file pin "$@" >out 2>err &&
		grep -e "$refused_w" err && test ! -e alice/keys/x.key && test ! -e alice/keys/x.pub
}
# A web server of one directory, for the TUF client.
web() {
	test_start web perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(Listen => 16, LocalAddr => "127.0.0.1") or die;
		open(my $p, ">", "web.port.new"); print $p $s->sockport; close($p); rename("web.port.new", "web.port");
		while (my $c = $s->accept) {
			my ($path) = (<$c> // "") =~ m{^GET /([\w./-]+) };
			while (my $l = <$c>) { last if $l =~ /^\r?\n/ }
			local $/;
			if (defined $path && $path !~ /\.\./ && open(my $f, "<:raw", "$ARGV[0]/$path")) {
				my $b = <$f>;
				print $c "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ", length($b), "\r\n\r\n$b";
			} else {
				print $c "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
			}
			close($c);
		}' "$1" && test_wait 10 test -s web.port
}

test_expect 'tokens are made' '
	token_init ops && token_init safe && token_init twin && token_init twin
'
test_expect 'a key is made in the token; the file holds no secret' '
	as alice key generate alice --pkcs11 "$(uri safe)" --passphrase-file pin --comment "Alice, safe 3" >out 2>err &&
	test ! -s err && grep "^secret *in a token, opened by its PIN" out && grep "^token *pkcs11:token=safe;object=alice;id=" out &&
	test "$(stat -c %a alice/keys/alice.key)" = 600 &&
	test_json "keys == [\"header\", \"token\"] and .header.kdf == null" alice/keys/alice.key &&
	openssl pkey -pubin -in alice/keys/alice.pub -noout -text | grep -i ed25519
'
test_expect 'a P-256 key as well' '
	as bob key generate bob --scheme ecdsa-sha2-nistp256 --pkcs11 "$(uri "safe;object=the%20key%20of%20bob")" \
		--passphrase-fd 3 --json >out 3<pin &&
	test_json ".kind == \"token\" and .sealed and .scheme == \"ecdsa-sha2-nistp256\" and (.uri | contains(\"object=the%20key%20of%20bob\"))" out &&
	openssl pkey -pubin -in bob/keys/bob.pub -noout -text | grep -i prime256v1
'
test_expect 'list and show have them beside file keys, and need neither token nor PIN' '
	as alice key generate filed --unsealed && tokens_out &&
	as alice key list >out && grep "^alice .* in a token .*Alice, safe 3" out && grep "^filed .* unsealed" out &&
	as alice key list --json >out && test_json "[.keys[].kind] == [\"token\", \"file\"]" out &&
	as alice key show alice >out && grep "^comment *Alice, safe 3" out &&
	as alice key export alice --format tuf >out && test_json ".keytype == \"ed25519\"" out &&
	as alice key export alice | cmp - alice/keys/alice.pub && tokens_in
'
test_expect 'there is no passphrase to change' '
	test_status 2 as alice key passwd alice --passphrase-file pin --new-passphrase-file wrong 2>err &&
	grep "is in a token" err && grep "^hint: .*change-pin" err
'
test_expect 'a key that was brought into a token is adopted, with a word about copies' '
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out carol.pem &&
	softhsm2-util --import carol.pem --token safe --label carol --id 0ca701 --pin 271828 &&
	as carol key adopt carol --pkcs11 "$(uri "safe;id=%0c%a7%01")" --passphrase-file pin >out 2>err &&
	grep "there may be copies of key .carol." err && grep "^token .*;object=carol;id=%0C%A7%01?" out &&
	openssl pkey -in carol.pem -pubout | cmp - carol/keys/carol.pub &&
	as again key adopt alice --pkcs11 "$(uri safe)" --passphrase-file pin 2>err && test ! -s err &&
	cmp again/keys/alice.pub alice/keys/alice.pub
'
test_expect 'curves that are not used here are refused' '
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem &&
	softhsm2-util --import p384.pem --token safe --label p384 --id 38 --pin 271828 &&
	test_status 3 as carol key adopt p384 --pkcs11 "$(uri safe)" --passphrase-file pin 2>err &&
	grep "curve that is not used" err && test ! -e carol/keys/p384.key
'
test_expect 'online keys are made in a token' '
	test_status 2 site_init hq --pkcs11 "$(uri ops)" 2>err && grep "no pin-source" err && grep "^hint: .*0600" err &&
	test_status 2 site_init hq --pkcs11 "$(uri "ops;object=x" "pin-source=file:$TEST_DIR/pin")" 2>err &&
	test ! -e hq/repo/online-keys.json &&
	site_init hq --pkcs11 "$(uri ops "pin-source=file:$TEST_DIR/pin")" &&
	for k in snapshot timestamp record-site record-export releases; do
		as hq key show "./hq/repo/keys/$k.key" --json >out &&
		test_json ".kind == \"token\" and (.sealed | not) and (.uri | contains(\"object=main%20$k;\"))" out || return 1
	done &&
	! grep -rq "271828" hq
'
test_expect 'a ceremony of token keys of both schemes makes root and targets' '
	cp alice/keys/alice.pub . && cp bob/keys/bob.pub . && cp carol/keys/carol.pub . &&
	site_request hq hq.request.json && f=$(fingerprint hq.request.json) &&
	for who in alice bob carol; do
		as $who ceremony sign hq.request.json --key $who --passphrase-file pin --fingerprint "$f" -o $who.answer || return 1
	done &&
	mkdir hq.out && as alice ceremony finish hq.request.json alice.answer bob.answer carol.answer -o hq.out &&
	test_json "[.signed.keys[].scheme] | contains([\"ed25519\", \"ecdsa-sha2-nistp256\"])" hq.out/root.json &&
	test_json "(.signatures | length) >= 2" hq.out/root.json
'
test_expect 'the repository adopts them and signs with its token' '
	as hq repo adopt hq.out/root.json hq.out/targets.json && as hq repo refresh --force >out && grep "signed snapshot" out &&
	as hq repo verify && as hq repo status
'
# judge FILE WHO: openssl verifies the signature of that key. OLPC canonical JSON has its newlines bare.
judge() {
	jq -cjS .signed "$1" | perl -pe 's/\\n/\n/g' >msg &&
		judge_k=$(as "$2" key show "$2" --json | jq -r .keyid) &&
		jq -er --arg k "$judge_k" '.signatures[] | select(.keyid == $k) | .sig' "$1" |
		perl -ne 'chomp; print pack("H*", $_)' >sig && test -s sig &&
		if grep -q BEGIN "$2.pub" && openssl pkey -pubin -in "$2.pub" -noout -text | grep -q ED25519; then
			openssl pkeyutl -verify -rawin -pubin -inkey "$2.pub" -in msg -sigfile sig
		else
			openssl dgst -sha256 -verify "$2.pub" -signature sig msg
		fi
}
test_expect 'openssl accepts the signatures of each scheme' '
	judge hq.out/root.json alice && judge hq.out/root.json bob && judge hq.out/root.json carol
'
test_expect 'the TUF client accepts the repository' '
	web hq/repo/metadata && mkdir client &&
	meshanics tuf-client --metadata-dir client init hq.out/root.json &&
	meshanics tuf-client --metadata-dir client --metadata-url "http://127.0.0.1:$(cat web.port)/" refresh &&
	cmp client/targets.json hq.out/targets.json && test_json ".signed._type == \"snapshot\"" client/snapshot.json
'
test_expect 'an artifact is signed in the token; ssh-keygen accepts it' '
	head -c 200000 /dev/urandom >plc && as hq sign plc --namespace plant --name plc --version 1 &&
	as hq key export --format allowed-signers --identity releases ./hq/repo/keys/releases.key >signers &&
	ssh-keygen -Y verify -f signers -I releases -n meshanics-artifact -s plc.sig <plc &&
	as hq verify plc && as hq repo verify
'
test_expect 'new online keys are made in the token as well, and sign once root names them' '
	as hq repo keys rotate --pkcs11 "$(uri ops "pin-source=file:$TEST_DIR/pin")" --scheme ecdsa-sha2-nistp256 -o next.json &&
	as alice ceremony rotate --root hq.out/root.json --online-keys next.json -o rotate.json &&
	next=$(fingerprint rotate.json) && mkdir rotated &&
	for who in alice bob carol; do
		as $who ceremony sign rotate.json --key $who --passphrase-file pin --fingerprint "$next" -o $who.again || return 1
	done &&
	as alice ceremony finish rotate.json alice.again bob.again carol.again -o rotated &&
	as hq repo adopt rotated/root.json && as hq repo refresh --force && as hq repo verify &&
	as hq key show ./hq/repo/keys/snapshot.key --json >out &&
	test_json ".kind == \"token\" and .scheme == \"ecdsa-sha2-nistp256\"" out &&
	test_json "[.signed.keys[] | select(.scheme == \"ecdsa-sha2-nistp256\")] | length >= 3" rotated/root.json &&
	meshanics tuf-client --metadata-dir client --metadata-url "http://127.0.0.1:$(cat web.port)/" refresh &&
	cmp client/root.json rotated/root.json
'
test_expect 'a repository with P-256 keys in a token, root by a token alone' '
	site_init old --scheme ecdsa-sha2-nistp256 --pkcs11 "$(uri ops "pin-source=file:$TEST_DIR/pin")" &&
	test_json ".snapshot.scheme == \"ecdsa-sha2-nistp256\" and .record_keys.site[0].keytype == \"ecdsa\"" old.online.json &&
	as bob ceremony new --online-keys old.online.json --root-key bob.pub --root-threshold 1 --targets-key bob.pub -o old.req &&
	as bob ceremony sign old.req --key bob --passphrase-file pin --fingerprint "$(fingerprint old.req)" -o old.answer &&
	mkdir old.out && as bob ceremony finish old.req old.answer -o old.out &&
	as old repo adopt old.out/root.json old.out/targets.json && as old repo verify &&
	echo small >small && as old sign small --namespace plant --name small --version 1 && as old verify small &&
	as old key export --format allowed-signers --identity releases ./old/repo/keys/releases.key >signers &&
	ssh-keygen -Y verify -f signers -I releases -n meshanics-artifact -s small.sig <small
'
test_expect 'an unknown scheme is refused' '
	test_status 2 site_init never --scheme rsassa-pss-sha256 2>err && grep "cannot make keys" err &&
	test ! -e never/repo/online-keys.json
'
test_expect 'serve signs with the token by itself, from its threads' '
	meshanics ca init --home hq && fleet_serve &&
	v=$(jq .signed.version hq/repo/metadata/timestamp.json) &&
	as hq repo refresh --force && test "$(jq .signed.version hq/repo/metadata/timestamp.json)" -gt "$v" &&
	head -c 1000 /dev/urandom >plc2 && as hq sign plc2 --namespace plant --name plc --version 2 &&
	as hq audit export >audit && meshanics audit verify audit --home nowhere --key hq/repo/keys/record-site.pub &&
	as hq repo verify
'
test_expect 'from afar nobody names a module' '
	meshanics operator add vera --role admin --home hq --out vera.token &&
	meshanics ca show --home hq --json | jq -r ".cas[] | select(.kind == \"server\") | .certificate" >server-ca.pem &&
	curl -sS --cacert server-ca.pem -o body -w "%{http_code}" -X POST -H "Authorization: Bearer $(cat vera.token)" \
		-d "{\"site\":\"main\",\"publishers\":[],\"pkcs11\":\"$(uri ops "pin-source=file:$TEST_DIR/pin")\"}" \
		"https://127.0.0.1:$FLEET_API/api/v1/repository" >status && grep 403 status &&
	grep "made on the machine that has the token" body &&
	test_status 3 meshanics repo init --home far --server "https://127.0.0.1:$FLEET_API" --token-file vera.token \
		--pkcs11 "$(uri ops "pin-source=file:$TEST_DIR/pin")" 2>err && grep "machine that has the token" err
'
test_expect 'when the token goes away, serve says so and goes on with what is published' '
	tokens_out && test_status 4 as hq repo refresh --force 2>err && grep "token .ops. is not there" err &&
	test_alive serve && tokens_in && as hq repo refresh --force && test_stop serve
'

# ---- what fails ----

test_expect 'a wrong PIN is refused, after one try' '
	test_status 3 as alice ceremony sign hq.request.json --key alice --passphrase-file wrong --fingerprint "$f" -o no 2>err &&
	grep "cannot open key .*alice.key.: token .safe.: cannot log in: wrong PIN" err && test ! -e no &&
	printf 1 >short && chmod 600 short &&
	test_status 3 as alice key generate x --pkcs11 "$(uri safe)" --passphrase-file short 2>err && grep "wrong PIN" err
'
test_expect 'without a PIN the way out is told, and options that quarrel are refused' '
	test_status 2 setsid meshanics --home "$TEST_DIR/alice" key generate x --pkcs11 "$(uri safe)" 2>err </dev/null &&
	grep "PIN of token .safe." err && grep "^hint: .*passphrase-file" err &&
	refused 2 "exclude each other" "$(uri safe "pin-source=file:$TEST_DIR/pin")" &&
	test_status 2 as alice key generate x --unsealed --pkcs11 "$(uri safe)" 2>err && grep "exclude each other" err &&
	test_status 2 as alice key adopt x 2>err && grep -e --pkcs11 err
'
test_expect 'a PIN file that others can read is refused, one that is missing is told' '
	cp pin loose && chmod 644 loose &&
	test_status 3 as alice key generate x --pkcs11 "$(uri safe "pin-source=file:$TEST_DIR/loose")" 2>err &&
	grep "PIN of the token: .*open to group or others" err && grep "^hint: .*chmod 600" err &&
	test_status 1 as alice key generate x --pkcs11 "$(uri safe "pin-source=file:$TEST_DIR/nowhere")" 2>err &&
	grep "PIN of the token: .*nowhere" err
'
test_expect 'a token that is not there is to be tried again' '
	refused 4 "token .nowhere. is not there" "$(uri nowhere)" && grep "^hint: connect it" err &&
	refused 4 "is not there" "$(uri "safe;serial=0000000000000000")" &&
	refused 4 "is not there" "$(uri "safe;manufacturer=Somebody")" &&
	refused 4 "is not there" "$(uri "safe;model=Other")"
'
test_expect 'two tokens of one name are not confused' '
	refused 1 "2 tokens are .twin." "$(uri twin)" && grep "^hint: .*serial" err &&
	serial=$(softhsm2-util --show-slots | sed -n "/Serial number/{s/.*: *//;h};/Label: *twin/{x;p;q}") &&
	as alice key generate twin --pkcs11 "$(uri "twin;serial=$serial")" --passphrase-file pin
'
test_expect 'a key that is not there, and two of one name' '
	test_status 1 as alice key adopt x --pkcs11 "$(uri "safe;object=nobody")" --passphrase-file pin 2>err &&
	grep "no private key .nobody." err && grep "^hint: .*pkcs11-tool" err &&
	test_status 1 as alice key adopt x --pkcs11 "$(uri "safe;object=alice;id=%00")" --passphrase-file pin 2>err &&
	as other key generate alice --pkcs11 "$(uri safe)" --passphrase-file pin &&
	test_status 1 as alice key adopt x --pkcs11 "$(uri "safe;object=alice")" --passphrase-file pin 2>err &&
	grep "more than one key .alice." err && grep "^hint: .*id" err && test ! -e alice/keys/x.key &&
	refused 1 "a key of that id already" "$(uri "safe;id=%0c%a7%01")"
'
test_expect 'another key in the place of ours makes no signature' '
	jq --slurpfile a alice/keys/alice.key ".header.key = \$a[0].header.key" other/keys/alice.key >swapped.key && chmod 600 swapped.key &&
	test_status 3 as alice ceremony sign hq.request.json --key ./swapped.key --passphrase-file pin --fingerprint "$f" -o no 2>err &&
	grep "signature is not used" err && grep "^hint: .*another one" err && test ! -e no &&
	jq --slurpfile a alice/keys/alice.key ".header.key = \$a[0].header.key" bob/keys/bob.key >swapped.key && chmod 600 swapped.key &&
	test_status 1 as alice ceremony sign hq.request.json --key ./swapped.key --passphrase-file pin --fingerprint "$f" -o no 2>err &&
	test ! -e no
'
test_expect 'a name that is taken leaves no key in the token' '
	softhsm_count() { find tokens -name "*.object" | wc -l; } && n=$(softhsm_count) &&
	test_status 1 as alice key generate alice --pkcs11 "$(uri safe)" --passphrase-file pin 2>err && grep "exists already" err &&
	: >alice/keys/halfway.pub &&
	test_status 1 as alice key generate halfway --pkcs11 "$(uri safe)" --passphrase-file pin 2>err &&
	grep "halfway.pub. exists already" err && test ! -e alice/keys/halfway.key && test "$(softhsm_count)" = "$n"
'
test_expect 'modules that are missing, no modules, or open to others are not loaded' '
	refused 1 "cannot load module .*nowhere.so.: No such file" "pkcs11:token=safe?module-path=/usr/lib/nowhere.so" &&
	refused 1 "cannot load module" "pkcs11:token=safe?module-path=/etc/passwd" &&
	refused 3 "not a regular file" "pkcs11:token=safe?module-path=/usr/lib" &&
	libc=$(ldconfig -p | sed -n "s/.*libc\.so\.6 .*=> //p" | head -n 1) &&
	test_status 1 env SOFTHSM2_CONF=/nowhere meshanics --home "$TEST_DIR/alice" key generate x --pkcs11 "$(uri safe)" \
		--passphrase-file pin 2>err && grep "module .*: cannot start it: the module cannot go on" err &&
	refused 1 "no PKCS#11 module" "pkcs11:token=safe?module-path=$libc" &&
	cp "$module" mine.so && chmod 755 mine.so && mkdir open && cp "$module" open/mine.so && chmod 755 open/mine.so && chmod 777 open &&
	if [ "$(id -u)" = 0 ]; then
		refused 3 "open. can be written by group or others" "pkcs11:token=safe?module-path=$TEST_DIR/open/mine.so" &&
		chmod 775 mine.so && refused 3 "mine.so. can be written by group or others" "pkcs11:token=safe?module-path=$TEST_DIR/mine.so" &&
		grep "^hint: .*chmod go-w" err && chmod 755 mine.so && chown 1 mine.so
	fi &&
	refused 3 "belongs to user [1-9][0-9]*, not to root" "pkcs11:token=safe?module-path=$TEST_DIR/mine.so" &&
	ln -s mine.so link.so && refused 3 "belongs to user" "pkcs11:token=safe?module-path=$TEST_DIR/link.so"
'
test_expect 'URIs that are wrong are told, with what would be right' '
	refused 2 "does not begin with .pkcs11:" "token=safe" &&
	refused 2 "names no token" "pkcs11:object=x?module-path=$module" &&
	refused 2 "names no module" "pkcs11:token=safe" &&
	refused 2 "not an absolute path" "pkcs11:token=safe?module-path=softhsm.so" &&
	refused 2 "stands twice" "$(uri "safe;token=safe")" &&
	refused 2 ".slot-id. of the URI is not supported" "$(uri "safe;slot-id=1")" &&
	refused 2 "pin-value. of the URI is not supported" "$(uri safe pin-value=271828)" && grep "^hint: .*pin-source" err &&
	refused 2 "pin-source. of the URI is not file:" "$(uri safe "pin-source=|cat")" &&
	refused 2 "without two hex digits" "$(uri safe%4)" &&
	refused 2 "wants percent-coding" "$(uri "sa fe")" &&
	refused 2 "longer than 32 bytes" "$(uri "$(head -c 33 /dev/zero | tr "\0" a)")"
'
test_expect 'key files that name a token badly are refused' '
	for edit in ".token = \"pkcs11:token=safe?module-path=/x\"" ".token = 1" ".secret = \"\"" ".token = \"pkcs11:token=safe;object=x\"" \
		".header.kdf = {}"; do
		jq "$edit" alice/keys/alice.key >bad.key && chmod 600 bad.key && test_status 3 as alice key show ./bad.key 2>err || return 1
	done
'
test_expect 'doctor looks for the tokens' '
	as alice doctor >out; grep "^ok       keys .*alice/keys: [0-9]* good" out && tokens_out && as alice doctor >out
	grep "^warning  keys .*key .alice.: token .safe. is not there" out || return 1
	as hq doctor >out; tokens_in; grep "^problem  keys .*token .ops. is not there" out
'
test_done

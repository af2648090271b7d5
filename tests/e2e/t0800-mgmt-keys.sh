#!/bin/sh
# Networks as an operator makes, joins, shows, rotates and leaves them; nothing runs, all is files.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
test_need jq openssl xxd

# keys HOME ARG...: a verb at a node of that name
keys() {
	keys_home=$1
	shift
	meshanics mgmt-keys "$@" --home "$keys_home"
}
# key HOME NAME FILE: the key of a network into a file
key() {
	(umask 077 && keys "$1" show "$2" --quiet >"$3")
}
# says STATUS TEXT CMD...: CMD ends so, and says that on standard error
says() {
	says_status=$1 says_text=$2
	shift 2
	test_status "$says_status" "$@" 2>err || { cat err >&2; return 1; }
	grep -e "$says_text" err >/dev/null || { cat err >&2; return 1; }
}
# record HOME NETWORK NAME: what a node of that name would say of itself, made by openssl alone; its id into NAME.id
record() {
	for record_k in ed25519 x25519; do
		openssl genpkey -algorithm "$record_k" -out "$3.$record_k" 2>/dev/null &&
			openssl pkey -in "$3.$record_k" -pubout -outform DER 2>/dev/null | tail -c 32 >"$3.$record_k.pub" || return 1
	done
	record_id=$(keys "$1" list --json | jq -r ".networks[] | select(.name == \"$2\").id")
	record_time=$(date +%s)
	{
		printf '\001' && cat "$3.ed25519.pub" "$3.x25519.pub" && perl -e '
			my ($time, $name) = @ARGV;
			print pack("Q> N Q> C C N C/a C C C", 1, 1, $time, 1, 0, 0, $name, 0, 0, 0);' "$record_time" "$3"
	} >"$3.body" || return 1
	{ printf 'meshanics-mesh-1 record\000' && printf %s "$record_id" | xxd -r -p && cat "$3.body"; } >"$3.signed" &&
		openssl pkeyutl -sign -rawin -inkey "$3.ed25519" -in "$3.signed" -out "$3.sig" &&
		cat "$3.body" "$3.sig" >"$3.record" &&
		perl -e 'print pack("n", -s $ARGV[0])' "$3.record" | cat - "$3.record" \
			>>"$1/mesh/networks/$record_id/records" && chmod 600 "$1/mesh/networks/$record_id/records" &&
		{ printf 'meshanics-mesh-1 node\000' && cat "$3.ed25519.pub" "$3.x25519.pub"; } | b2sum -l 256 | cut -c 1-32 >"$3.id"
}
# modes HOME: whatever below mesh/ is not 0700 and not 0600
modes() {
	find "$1/mesh" \( -type d ! -perm 0700 \) -o \( ! -type d ! -perm 0600 \)
}

test_expect 'a node without networks says so' '
	keys a list >out 2>err && [ ! -s out ] && grep "no networks" err &&
	keys a list --json >out && test_json ".networks == []" out
'

test_expect 'a network is made as the contract says' '
	keys a add --name "Home network" --caps mesh-route --never-expires --allow tcp:22 --allow tcp:445 --allow udp:5353 >out &&
	grep "^name  *Home network$" out && grep "^expires  *never$" out && grep "^allows  *tcp:22, tcp:445, udp:5353$" out &&
	! grep mrk1 out && [ -z "$(modes a)" ] &&
	keys a list >out && grep "^Home network .* 1 .*never .*198\.1[89]\." out && ! grep mrk1 out &&
	keys a list --json >out && test_json "
		.networks | length == 1 and (.[0] | .owner and .generation == 1 and .expires == null and (.key == null) and
		.allow == [\"tcp:22\", \"tcp:445\", \"udp:5353\"])" out
'

test_expect 'secrets are printed where they are asked for' '
	keys a show "Home network" >out 2>err && grep "^mrk1[A-Za-z0-9_-]*$" out && [ "$(wc -l <out)" -eq 1 ] &&
	grep "whoever has this key" err &&
	keys a list --secrets >out && grep mrk1 out &&
	keys a show "Home network" --json >out && test_json ".key | startswith(\"mrk1\")" out
'

test_expect 'another node joins by a file, and by standard input' '
	key a "Home network" home.key &&
	keys b add --key-file home.key --allow tcp:22 >out && grep "^owner  *elsewhere$" out && [ -z "$(modes b)" ] &&
	keys c add --caps mesh-route --name house --key-file - <home.key >out && grep "^name  *house$" out &&
	[ "$(keys a list --json | jq -r ".networks[0].id")" = "$(keys c list --json | jq -r ".networks[0].id")" ] &&
	[ "$(keys a list --json | jq -r ".networks[0].node")" != "$(keys b list --json | jq -r ".networks[0].node")" ]
'

test_expect 'a key on the command line works, with a warning' '
	keys d add --key "$(cat home.key)" >out 2>err && grep "warning: other users" err
'

test_expect 'bad keys are refused, each with what to do' '
	says 1 "joined network .* already" keys b add --key-file home.key &&
	head -c 120 home.key >cut.key && chmod 600 cut.key && says 3 "cut short" keys e add --key-file cut.key &&
	sed "s/^mrk1/mrk7/" home.key | says 3 "of version 7" keys e add --key-file - &&
	tr "ABCDEFGH" "BCDEFGHA" <home.key | says 3 "typing error\|cut short" keys e add --key-file - &&
	echo hello | says 3 "not a network key" keys e add --key-file - &&
	: | says 3 "not a network key" keys e add --key-file - &&
	cp home.key loose.key && chmod 644 loose.key && says 3 "loose.key" keys e add --key-file loose.key &&
	says 1 "nothing.key" keys e add --key-file nothing.key &&
	[ ! -e e/mesh ] || [ -z "$(ls e/mesh/networks)" ]
'

test_expect 'options that do not fit are told apart' '
	says 2 "wants a name" keys e add &&
	says 2 "no key is for" keys e add --name x --caps mesh-relay &&
	says 2 ".0d. is not in 1m to 36500d" keys e add --name x --expires-in 0d &&
	says 2 "exclude each other" keys e add --name x --expires-in 30d --never-expires &&
	says 2 "exclude each other" keys e add --key x --key-file home.key &&
	says 2 "brings its own" keys e add --key-file home.key --expires-in 30d &&
	says 2 "brings its own" keys e add --key-file home.key --ipv4-range 10.1.0.0/19 &&
	says 2 "is no rule" keys e add --name x --allow icmp:1 &&
	says 2 "is no rule" keys e add --name x --allow tcp:70000 &&
	says 2 "not an IPv4 range" keys e add --name x --ipv4-range 10.1.0.0 &&
	says 3 "private range" keys e add --name x --ipv4-range 8.8.0.0/19 &&
	says 3 "prefix that is not" keys e add --name x --ipv4-range 10.0.0.0/8 &&
	says 2 "0 bytes\|wants a name" keys e add --name "" &&
	says 2 "bytes, not 1 to 48" keys e add --name "$(printf %49s x)" &&
	[ ! -e e/mesh ] || [ -z "$(ls e/mesh/networks)" ]
'

test_expect 'a second network has another range, and another name' '
	keys a add --name office >out && grep "^range" out &&
	[ "$(keys a list --json | jq "[.networks[].range] | unique | length")" -eq 2 ] &&
	says 1 "is called .office. as well" keys a add --name office &&
	says 3 "is in use here: network .office." keys a add --name third \
		--ipv4-range "$(keys a list --json | jq -r ".networks[] | select(.name == \"office\").range")"
'

test_expect 'networks stand in the order in which they were joined, in every list' '
	for i in north south west; do
		keys o add --name $i >out && keys o list --json | jq -r ".networks[] | select(.name == \"$i\").id" >$i.id &&
		meshanics forward add printer 192.168.1.50 --network $i --home o || return 1
	done &&
	for order in "north south west" "west south north" "south west north"; do
		minute=10 && for i in $order; do
			touch -d "2026-01-01 00:$minute:00" "o/mesh/networks/$(cat $i.id)/node.key" && minute=$((minute + 1)) || return 1
		done
		echo "$order" | tr " " "\n" >should && keys o list --json | jq -r ".networks[].name" | diff - should &&
		meshanics policy list --home o | awk "NR > 1 { print \$1 }" | diff - should &&
		meshanics forward list --home o | awk "NR > 1 { print \$6 }" | diff - should || return 1
	done
'

test_expect 'the range may come from the configuration, and an expiry from a time' '
	printf "meshlan:\n  ipv4_range: 10.77.0.0/20\n" >config.yaml &&
	keys f add --name lab --expires-in 30d --config config.yaml >out && grep "^range  *10.77.0.0/20$" out &&
	! grep never out
'

test_expect 'rotation makes the next generation, which others take with their newer key' '
	keys a rotate "Home network" --grace 1h >out 2>err && grep "^generation  *2$" out && grep "give the new key" err &&
	key a "Home network" home2.key && ! cmp -s home.key home2.key &&
	keys b add --key-file home2.key >out && grep "^generation  *2$" out && grep "^allows  *tcp:22$" out &&
	keys c add --key-file home2.key >out && grep "^name  *house$" out &&
	keys b list --json >out && test_json ".networks[0].former | length == 1 and .[0].in_grace" out &&
	says 3 "of generation 1 .* 2 is here" keys b add --key-file home.key &&
	says 2 "is here already" keys d add --key-file home2.key --allow tcp:80 &&
	[ -z "$(modes b)" ]
'

test_expect 'only the owner rotates, and nobody is evicted whom nobody knows' '
	says 3 "owner.s key is not here" keys b rotate "Home network" &&
	says 3 "no other node .* is known" keys a rotate "Home network" --evict nas &&
	says 3 "this node itself" keys a rotate "Home network" --evict "$(keys a list --json |
		jq -r ".networks[] | select(.name == \"Home network\").node")" &&
	says 2 "say until when" keys f rotate lab &&
	keys f rotate lab --never-expires >out && grep "^expires  *never$" out &&
	keys a list --json >out && test_json "[.networks[] | select(.name == \"Home network\").generation] == [2]" out
'

test_expect 'a forged key and a fork are refused' '
	id=$(keys a list --json | jq -r ".networks[] | select(.name == \"Home network\").id") &&
	cp -a a fork && keys a rotate "Home network" >out 2>err && grep "generation 1, which was to hold until .*, holds no more" err &&
	keys a list --json >out && test_json ".networks[] | select(.name == \"Home network\").former |
		map(.in_grace) == [true, false]" out && keys fork rotate "Home network" >out &&
	key fork "Home network" fork.key && says 3 "with another secret" keys a add --key-file fork.key &&
	perl -MMIME::Base64=decode_base64url,encode_base64url -MDigest::SHA=sha256 -e "
		my \$k = substr(decode_base64url(substr(<STDIN>, 4)), 0, -4);
		substr(\$k, 16, 4) = pack(\"N\", 99);
		substr(\$k, 73, 1) ^= \"\\1\";
		print \"mrk1\", encode_base64url(\$k . substr(sha256(\"mrk1\$k\"), 0, 4)), \"\\n\"" <fork.key >forged &&
	says 3 "another owner, range or date" keys a add --key-file - <forged
'

test_expect 'a network is left by its name or its id, and only when told so' '
	says 2 "no terminal" keys b rm "Home network" && [ "$(keys b list --json | jq ".networks | length")" -eq 1 ] &&
	keys b rm "$(keys b list --json | jq -r ".networks[0].id[0:8]")" --yes && [ -z "$(ls b/mesh/networks)" ] &&
	says 1 "no network .Home network." keys b rm "Home network" --yes &&
	says 1 "no network" keys b show nothing
'

test_expect 'loose modes and symbolic links are refused' '
	d=$(echo d/mesh/networks/*) &&
	chmod 644 "$d/key" && says 3 "key" keys d list && chmod 600 "$d/key" &&
	chmod 755 "$d" && says 3 "open to other users" keys d list && chmod 700 "$d" &&
	mv d/mesh d/elsewhere && ln -s elsewhere d/mesh && says 3 "symbolic link" keys d list &&
	says 3 "symbolic link" keys d add --name x && rm d/mesh && mv d/elsewhere d/mesh && keys d list >out
'

test_expect 'a damaged network does not hide the others, and can be left' '
	id=$(keys a list --json | jq -r ".networks[] | select(.name == \"office\").id") &&
	echo mrk1 >"a/mesh/networks/$id/key" && test_status 3 keys a list >out 2>err && grep "^Home network" out &&
	grep "file .key." err && keys a rm "$id" --yes && keys a list >out
'

test_expect 'nodes that are known can be evicted, and the others are on a list that the owner signed' '
	keys k add --name yard >out && record k yard nas && record k yard laptop && record k yard lost &&
	says 1 "no node .phone. is known" keys k rotate yard --evict phone &&
	keys k rotate yard --evict lost --evict "$(cut -c 1-10 laptop.id)" --json >out &&
	test_json ".generation == 2 and (.stay | map(.name)) == [\"nas\"] and
		(.evicted | map(.name) | sort) == [\"laptop\", \"lost\"]" out &&
	test_json ".stay[0].id == \"$(cat nas.id)\"" out &&
	d=$(echo k/mesh/networks/*) && [ -z "$(modes k)" ] &&
	[ "$(sort "$d/evicted")" = "$(for i in laptop lost; do echo "$(cat $i.id) 2"; done | sort)" ] &&
	xxd -p -s 61 -l 4 "$d/stay.2" | grep 00000002 && xxd -p -c 256 "$d/stay.2" | grep "$(cat nas.id)" &&
	! xxd -p -c 256 "$d/stay.2" | grep "$(cat lost.id)" &&
	says 1 "no node .lost. is known" keys k rotate yard --evict lost
'

test_expect 'the list is signed by the owner of the network' '
	d=$(echo k/mesh/networks/*) && n=$(($(wc -c <"$d/stay.2") - 64)) &&
	{ printf "meshanics-mesh-1 stay\\0" && head -c $n "$d/stay.2"; } >list && tail -c 64 "$d/stay.2" >sig &&
	perl -MMIME::Base64=decode_base64url -e "
		print pack(\"H*\", \"302a300506032b6570032100\"), substr(decode_base64url(substr(<STDIN>, 4)), 73, 32)" \
		<"$d/key" >owner.der &&
	openssl pkeyutl -verify -rawin -pubin -inkey owner.der -keyform DER -in list -sigfile sig &&
	test_flip list 30 && ! openssl pkeyutl -verify -rawin -pubin -inkey owner.der -keyform DER -in list -sigfile sig
'

if command -v faketime >/dev/null 2>&1; then
	test_expect 'an expired key lets nobody in' '
		keys g add --name short --expires-in 1h >out && key g short short.key &&
		test_status 3 test_at +2h meshanics mgmt-keys add --home h --key-file short.key 2>err && grep "expired at" err &&
		test_at +2h meshanics mgmt-keys list --home g >out && grep "(expired)" out
	'
else
	test_skip 'an expired key lets nobody in' 'faketime is not installed'
fi

if command -v zbarimg >/dev/null 2>&1; then
	test_expect 'a QR code is read back by zbarimg' '
		keys a show "Home network" --qr --quiet >code && keys a show "Home network" --quiet >text &&
		perl -CSD -e "
			my @rows = map { chomp; [split //] } <STDIN>;
			my (\$w, \$h) = (4 * @{\$rows[0]}, 8 * @rows);
			print \"P1\\n\$w \$h\\n\";
			for my \$y (0 .. \$h - 1) {
				print join(\" \", map {
					my \$c = ord \$rows[\$y / 8][\$_ / 4];
					my \$light = \$c == 0x2588 || \$c == (\$y % 8 < 4 ? 0x2580 : 0x2584);
					\$light ? 0 : 1;
				} 0 .. \$w - 1), \"\\n\";
			}" <code >code.pbm && zbarimg -q --raw code.pbm >read && cmp read text
	'
else
	test_skip 'a QR code is read back by zbarimg' 'zbarimg is not installed'
fi

if [ "$(id -u)" -eq 0 ] && unshare -n true 2>/dev/null; then
	test_expect 'ranges of interfaces and routes are neither chosen nor joined' '
		cat >inside <<-\EOF_INSIDE &&
			ip link set lo up &&
				ip link add mesh-test type veth peer name mesh-other &&
				ip address add 198.18.5.1/24 dev mesh-test &&
				ip link set mesh-test up &&
				ip route add 10.9.0.0/16 dev mesh-test &&
				ip route add 0.0.0.0/1 dev mesh-test || exit 1
			for i in 1 2 3 4 5 6 7 8; do
				meshanics mgmt-keys add --home n --name "n$i" || exit 1
			done
			meshanics mgmt-keys list --home n >list && grep -F 198.18. list && ! grep -F 198.18.0.0/19 list &&
				! meshanics mgmt-keys add --home n --name a --ipv4-range 198.18.0.0/19 2>err &&
				grep "interface .mesh-test. has 198.18.5.0/24" err &&
				! meshanics mgmt-keys add --home n --name b --ipv4-range 10.9.64.0/18 2>err &&
				grep "a route by .mesh-test. has 10.9.0.0/16" err &&
				! meshanics mgmt-keys add --home n --key-file clash.key 2>err &&
				grep "is in use here" err && grep "hint: addresses are part of the key" err
		EOF_INSIDE
		keys p add --name clash --ipv4-range 10.9.0.0/24 >out && key p clash clash.key && unshare -n sh inside
	'
else
	test_skip 'ranges of interfaces and routes are neither chosen nor joined' 'no network namespace'
fi

test_done

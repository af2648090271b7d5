#!/bin/sh
# What is let in from networks, as an operator says it: callers, targets, ping; nothing runs, all is files.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
test_need jq openssl xxd

# policy HOME ARG...: a verb at a node of that name
policy() {
	policy_home=$1
	shift
	meshanics policy "$@" --home "$policy_home"
}
# says STATUS TEXT CMD...: CMD ends so, and says that on standard error
says() {
	says_status=$1 says_text=$2
	shift 2
	test_status "$says_status" "$@" 2>err || { cat err >&2; return 1; }
	grep -e "$says_text" err >/dev/null || { cat err >&2; return 1; }
}
# scope HOME: the file of the only network
scope() {
	cat "$1"/mesh/networks/*/scope
}
# is_scope HOME LINE...: the file has these lines and no others
is_scope() {
	scope "$1" >is
	shift
	for is_line in "$@"; do
		echo "$is_line"
	done >should
	diff -u should is
}
# record HOME FILE NAME: what node FILE of the only network would say of itself under that name, made by openssl
# alone; keys in FILE.*, its id in FILE.id
record() {
	for record_k in ed25519 x25519; do
		[ -e "$2.$record_k" ] || openssl genpkey -algorithm "$record_k" -out "$2.$record_k" 2>/dev/null || return 1
		openssl pkey -in "$2.$record_k" -pubout -outform DER 2>/dev/null | tail -c 32 >"$2.$record_k.pub" || return 1
	done
	record_id=$(meshanics mgmt-keys list --home "$1" --json | jq -r ".networks[0].id")
	{
		printf '\001' && cat "$2.ed25519.pub" "$2.x25519.pub" && perl -e '
			my ($time, $name) = @ARGV;
			print pack("Q> N Q> C C N C/a C C C", 1, 1, $time, 1, 0, 0, $name, 0, 0, 0);' "$(date +%s)" "$3"
	} >"$2.body" || return 1
	{ printf 'meshanics-mesh-1 record\000' && printf %s "$record_id" | xxd -r -p && cat "$2.body"; } >"$2.signed" &&
		openssl pkeyutl -sign -rawin -inkey "$2.ed25519" -in "$2.signed" -out "$2.sig" &&
		cat "$2.body" "$2.sig" >"$2.record" &&
		perl -e 'print pack("n", -s $ARGV[0])' "$2.record" | cat - "$2.record" \
			>>"$1/mesh/networks/$record_id/records" && chmod 600 "$1/mesh/networks/$record_id/records" &&
		{ printf 'meshanics-mesh-1 node\000' && cat "$2.ed25519.pub" "$2.x25519.pub"; } | b2sum -l 256 | cut -c 1-32 >"$2.id"
}

test_expect 'without a network there is nothing to say' '
	policy a list 2>err && grep "no networks" err && policy a list --json >out && test_json ".networks == []" out &&
	says 1 "in no network" policy a allow tcp:22 && says 1 "no network .home." policy a allow tcp:22 --network home
'

test_expect 'at first nothing but ping is let in' '
	meshanics mgmt-keys add --home a --name home >out && policy a list >out 2>err &&
	grep "^home  *icmp  *any member  *this node and its forwards$" out && [ "$(wc -l <out)" -eq 2 ] && grep "nothing else" err &&
	policy a list --json >out && test_json ".networks | length == 1 and .[0].network == \"home\" and
		.[0].echo == \"members\" and .[0].rules == []" out
'

test_expect 'rules are added, sorted, each once' '
	policy a allow udp:5000-5010 tcp:445 tcp:22 >out && grep -c "^home: allowed: " out | grep -x 3 &&
	policy a allow tcp:22 tcp:80 >out && grep -x "home: allowed already: tcp:22" out && grep -x "home: allowed: tcp:80" out &&
	is_scope a "allow tcp:22" "allow tcp:80" "allow tcp:445" "allow udp:5000-5010" &&
	[ "$(stat -c %a a/mesh/networks/*/scope)" = 600 ] &&
	meshanics mgmt-keys list --home a --json >out && test_json ".networks[0].allow == [\"tcp:22\", \"tcp:80\", \"tcp:445\",
		\"udp:5000-5010\"]" out
'

test_expect 'rules are taken away, and what is not there is said' '
	policy a deny tcp:80 udp:5000-5010 >out && grep -x "home: allowed no more: tcp:80" out &&
	is_scope a "allow tcp:22" "allow tcp:445" &&
	says 1 "no such rule about tcp:80" policy a deny tcp:80 && grep "nothing lets it in" err &&
	policy a allow tcp:20-30 && says 1 "no such rule about tcp:25" policy a deny tcp:25 &&
	grep "hint: .tcp:20-30. lets it in" err &&
	policy a deny tcp:22 2>err && grep "warning: some of it is let in by .tcp:20-30. still" err &&
	is_scope a "allow tcp:20-30" "allow tcp:445" && policy a deny tcp:20-30
'

test_expect 'of several nothing is done where one is wrong' '
	says 1 "no such rule about tcp:1" policy a deny tcp:445 tcp:1 && is_scope a "allow tcp:445" &&
	says 2 "is no rule" policy a allow tcp:22 tcp:0 && is_scope a "allow tcp:445" &&
	for i in tcp tcp: tcp:70000 tcp:30-22 tcp:22-22 icmp:8 sctp:1 "" "tcp:22 "; do
		says 2 "is no rule" policy a allow "$i" || return 1
	done &&
	says 2 "operand" policy a allow && says 2 "operand" policy a deny && is_scope a "allow tcp:445"
'

test_expect 'a rule for one caller is bound to its id, whatever it is called later' '
	record a nas nas && record a laptop laptop && n=$(cat nas.id) l=$(cat laptop.id) &&
	policy a allow tcp:2049 --from nas --from "$(cut -c 1-8 laptop.id)" --json >out &&
	test_json "(.allowed | map(.from.name) | sort) == [\"laptop\", \"nas\"] and all(.allowed[]; .rule == \"tcp:2049\" and .to == null)" out &&
	grep -x "allow tcp:2049 from $n nas" a/mesh/networks/*/scope && grep -x "allow tcp:2049 from $l laptop" a/mesh/networks/*/scope &&
	policy a list >out && grep "tcp:2049  *nas ($(cut -c 1-12 nas.id))  *this node and its forwards" out &&
	: >records && cat records >"$(echo a/mesh/networks/*/records)" && record a nas box && record a laptop nas &&
	policy a list >out && grep "nas ($(cut -c 1-12 nas.id)), now box" out && grep "laptop ($(cut -c 1-12 laptop.id)), now nas" out &&
	policy a list --json >out && test_json ".networks[0].rules | map(select(.from.id == \"$n\")) |
		.[0].from.name == \"nas\" and .[0].from.now == \"box\"" out
'

test_expect 'a rule is denied by the name that it was made with, or by the id' '
	policy a deny tcp:2049 --from "$(cat laptop.id)" && ! grep "$(cat laptop.id)" a/mesh/networks/*/scope &&
	says 1 "no such rule" policy a deny tcp:2049 --from laptop &&
	policy a deny tcp:2049 --from nas && is_scope a "allow tcp:445" &&
	policy a allow tcp:445 --from nas 2>err && grep "warning: .tcp:445 from nas. is no limit: .tcp:445. is allowed" err &&
	policy a deny tcp:445 >out && [ "$(wc -l <out)" -eq 2 ] && [ -z "$(scope a)" ]
'

test_expect 'callers that are not one known node are told apart' '
	says 1 "no node .phone. is known" policy a allow tcp:1 --from phone &&
	says 3 "this node itself" policy a allow tcp:1 --from "$(meshanics mgmt-keys list --home a --json | jq -r ".networks[0].node")" &&
	record a twin box && says 1 "may mean several nodes: .*$(cat twin.id)" policy a allow tcp:1 --from box &&
	[ -z "$(scope a)" ] &&
	policy a allow tcp:1 --from 000102030405060708090a0b0c0d0e0f 2>err && grep "warning: no node .* is known .* yet" err &&
	is_scope a "allow tcp:1 from 000102030405060708090a0b0c0d0e0f" && policy a deny tcp:1
'

test_expect 'a rule may be for one forward, or for the node alone' '
	policy a allow tcp:631 --to "Office Printer" 2>err && grep "warning: no forward .office-printer. is known here yet" err &&
	policy a list >out && grep "tcp:631 .* office-printer (not there)" out &&
	meshanics forward add --home a "Office Printer" 192.168.1.50 && policy a list --json >out &&
	test_json ".networks[0].rules[0] | .to == \"office-printer\" and (.waits | not)" out &&
	policy a allow tcp:22 --to . >out && grep -x "home: allowed: tcp:22 to this node" out &&
	is_scope a "allow tcp:22 to ." "allow tcp:631 to office-printer" &&
	says 1 "no such rule" policy a deny tcp:22 --to office-printer &&
	policy a deny tcp:22 --to . && policy a deny tcp:631 && [ -z "$(scope a)" ] &&
	says 2 "nothing of .!. can be a name" policy a allow tcp:22 --to "!"
'

test_expect 'names are read as they are shown, and as people write them' '
	f=$(echo a/mesh/networks/*)/claims && echo "0 0 unknown" >"$f" && chmod 600 "$f" &&
	policy a allow tcp:631 --to Office-Printer.mesh 2>err && [ ! -s err ] && is_scope a "allow tcp:631 to office-printer" &&
	policy a deny tcp:631 --to "Office Printer.home.mesh." &&
	for i in nas nas.mesh NAS.Home.Mesh. nas.home; do
		policy a allow tcp:1 --from "$i" && is_scope a "allow tcp:1 from $(cat laptop.id) nas" && policy a deny tcp:1 --from "$i" || return 1
	done &&
	printf "meshlan:\n  dns_suffix: example.net\n" >suffix.yaml &&
	policy a allow tcp:631 --to office-printer.example.net --config suffix.yaml 2>err && [ ! -s err ] && policy a deny tcp:631 &&
	MESHANICS_DNS_SUFFIX=lan policy a allow tcp:631 --to office-printer.lan 2>err && [ ! -s err ] && policy a deny tcp:631 &&
	says 2 "no name of network .home." policy a allow tcp:631 --to office-printer.other.mesh && grep "end with .\.mesh., or with .\.home\.mesh." err &&
	policy a allow tcp:631 --to office-printr 2>err && grep "waits for it; did you mean .office-printer.?" err && policy a deny tcp:631 &&
	policy a allow tcp:631 --to nas 2>err && grep "another node, whose own rules decide" err && policy a deny tcp:631 &&
	says 1 "no node .naz. is known" policy a allow tcp:1 --from naz.mesh && grep "did you mean .nas.?" err
'

test_expect 'an address is no name; what it is called is said where it is known' '
	v4=$(meshanics forward list --home a --json | jq -r ".networks[0].forwards[0].ipv4") &&
	for i in "$v4" 192.168.1.50; do
		says 2 "^meshanics: --to: .$i. is an address" policy a allow tcp:631 --to "$i" &&
		grep "^hint: that is .office-printer.: give the name$" err || return 1
	done &&
	says 2 "^meshanics: --from: .198.18.6.193. is an address" policy a allow tcp:1 --from 198.18.6.193 && grep "^hint: " err &&
	says 2 "is an address" policy a allow tcp:1 --to fd12::1 && [ -z "$(scope a)" ]
'

test_expect 'ping is answered until it is denied, and then as the rules say' '
	policy a deny icmp 2>err && grep "answered to nobody" err && is_scope a "deny icmp" &&
	says 1 "denied .* already" policy a deny ping &&
	policy a list >out && grep "icmp  *nobody" out && policy a list --json >out && test_json ".networks[0].echo == \"nobody\"" out &&
	policy a allow ping && is_scope a "allow icmp" && policy a deny icmp && is_scope a "deny icmp" && policy a allow icmp
'

test_expect 'who takes away the last rule about ping opens it to nobody' '
	policy a allow icmp --from nas && policy a deny icmp && policy a allow icmp --from nas --json >out &&
	test_json ".echo == \"rules\"" out && policy a deny icmp --from nas 2>err && is_scope a "deny icmp" &&
	meshanics mgmt-keys add --home b --name other >out && record b nas nas && record b laptop laptop &&
	policy b allow icmp --from nas 2>err && grep "as the rules about icmp say" err &&
	policy b allow icmp --from laptop 2>err && ! grep "as the rules" err && policy b deny icmp --from nas && policy b list >out &&
	grep "icmp  *laptop" out
'

test_expect 'with two networks the one is named' '
	meshanics mgmt-keys add --home a --name office >out && says 2 "in 2 networks" policy a allow tcp:22 &&
	policy a allow tcp:22 --network office >out && grep -x "office: allowed: tcp:22" out &&
	policy a list >out && grep "^office  *tcp:22" out && ! grep "^home  *tcp:22" out &&
	policy a list --network home >out && ! grep "^office" out && says 1 "no network .none." policy a list --network none &&
	meshanics mgmt-keys rm --home a office --yes
'

test_expect 'the list is full at 256 rules, and then nothing is changed' '
	policy a allow $(seq -f "tcp:%g" 1000 1255) >out && scope a | grep -c . >n && read -r lines <n && [ "$lines" -eq 257 ] &&
	says 3 "room for 256 rules" policy a allow tcp:1 && scope a | grep -c . | cmp - n && policy a deny $(seq -f "tcp:%g" 1000 1255) >out &&
	is_scope a "deny icmp"
'

test_expect 'files that were tampered with are refused, and left' '
	f=$(echo a/mesh/networks/*/scope) && cp "$f" kept &&
	echo "allow tcp:22 from nas" >"$f" && says 3 "file .scope.: line 1" policy a allow tcp:80 && says 3 "line 1" policy a list &&
	printf "allow tcp:22" >"$f" && says 3 "line 1 has no end" policy a deny tcp:22 && [ "$(cat "$f")" = "allow tcp:22" ] &&
	cat kept >"$f" && chmod 644 "$f" && says 3 "scope" policy a allow tcp:80 && chmod 600 "$f" && policy a list >out
'

test_done

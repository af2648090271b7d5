#!/bin/sh
# Forwards as an operator adds, lists and removes them; nothing runs, all is files.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
test_need jq perl

# forward HOME ARG...: a verb at a node of that name
forward() {
	forward_home=$1
	shift
	meshanics forward "$@" --home "$forward_home"
}
# says STATUS TEXT CMD...: CMD ends so, and says that on standard error
says() {
	says_status=$1 says_text=$2
	shift 2
	test_status "$says_status" "$@" 2>err || { cat err >&2; return 1; }
	grep -e "$says_text" err >/dev/null || { cat err >&2; return 1; }
}
# places HOME: name, target and place of each forward of the only network
places() {
	cut -d " " -f 1-4 "$1"/mesh/networks/*/forwards
}
# is_places HOME LINE...: these and no others
is_places() {
	places "$1" >is
	shift
	for is_line in "$@"; do
		echo "$is_line"
	done >should
	diff -u should is
}

test_expect 'without a network there is nothing to forward in' '
	forward a list 2>err && grep "nothing is forwarded" err && forward a list --json >out && test_json ".networks == []" out &&
	says 1 "in no network" forward a add printer 192.168.1.50 && says 1 "in no network" forward a rm printer
'

test_expect 'a name of people becomes one of the mesh, which is said' '
	meshanics mgmt-keys add --home a --name home --ipv4-range 10.77.0.0/20 >out &&
	forward a add "Office Printer" 192.168.1.50 >out 2>err && grep "^name  *office-printer$" out &&
	grep "^target  *192.168.1.50$" out && grep "is called office-printer" err &&
	grep "no rule lets anybody reach it yet: meshanics policy allow PROTO:PORT --to office-printer" err &&
	is_places a "office-printer 192.168.1.50 0 2" && [ "$(stat -c %a a/mesh/networks/*/forwards)" = 600 ]
'

test_expect 'the next one has the next place, over IPv6 as well' '
	forward a add camera fd00:1::7 --json >out 2>err && test_json ".added and .network == \"home\" and
		(.forward | .name == \"camera\" and .target == \"fd00:1::7\" and .source == \"live\" and .ipv4 == null)" out &&
	[ ! -s err ] && is_places a "office-printer 192.168.1.50 0 2" "camera fd00:1::7 0 3" &&
	forward a list >out && grep "^camera  *fd00:1::7  *-  *-  *live  *home$" out &&
	read -r name target ordinal slot named <"$(echo a/mesh/networks/*/forwards)" && [ "$named" -lt 300 ]
'

test_expect 'once more is no failure; another target is' '
	forward a add camera fd00:1::7 >out 2>err && grep "there already" err && forward a add camera fd00:1:0::7 --json >out &&
	test_json ".added | not" out && says 1 "is there already, to fd00:1::7" forward a add camera 10.0.0.1 && grep "forward rm camera" err &&
	is_places a "office-printer 192.168.1.50 0 2" "camera fd00:1::7 0 3"
'

test_expect 'what is no address of a device is refused, each with what to do' '
	for i in printer.lan 192.168.1 192.168.1.50:631 "" "fe80::1%eth0" 999.1.1.1; do
		says 2 "is no address" forward a add x "$i" && grep "^hint: " err || return 1
	done &&
	for i in 127.0.0.1 ::1 169.254.1.1 fe80::1 0.0.0.0 :: 224.0.0.1 ff02::1 255.255.255.255 ::ffff:10.0.0.1; do
		says 3 "nothing is forwarded to" forward a add x "$i" && grep "^hint: " err || return 1
	done &&
	says 3 "10.77.1.1 is an address of network .home." forward a add x 10.77.1.1 &&
	says 2 "can be a name" forward a add "!?" 10.0.0.1 && says 2 "operand" forward a add x &&
	is_places a "office-printer 192.168.1.50 0 2" "camera fd00:1::7 0 3"
'

test_expect 'addresses are shown as soon as the blocks are claimed' '
	echo "0 0 unknown" >"$(echo a/mesh/networks/*)/claims" && chmod 600 a/mesh/networks/*/claims &&
	forward a list --json >out && test_json ".networks[0].forwards[1] | (.ipv4 | startswith(\"10.77.\")) and (.ipv6 | test(\"^fd12:.*::3$\"))" out &&
	own=$(meshanics mgmt-keys list --home a --json | jq -r ".networks[0].ipv4") &&
	[ "$(jq -r ".networks[0].forwards[0].ipv4" out)" = "${own%.*}.$((${own##*.} + 1))" ]
'

test_expect 'the rules that let in to it are said' '
	meshanics policy allow --home a tcp:631 --to scanner 2>err && meshanics policy allow --home a tcp:80 &&
	meshanics policy allow --home a tcp:22 --to . && forward a add scanner 192.168.1.51 2>err &&
	grep "let in .tcp:80. to it" err && grep "let in .tcp:631 to scanner. to it" err && ! grep "tcp:22" err
'

test_expect 'one that goes takes the rules for it alone along, and leaves its place' '
	forward a rm Scanner --json >out && test_json ".removed == \"scanner\" and .rules == [\"tcp:631 to scanner\"]" out &&
	[ "$(cat a/mesh/networks/*/scope)" = "$(printf "allow tcp:22 to .\nallow tcp:80")" ] &&
	says 1 "no forward .scanner." forward a rm scanner && forward a rm office-printer 2>err && grep "no more" err &&
	forward a add second 10.0.0.2 && forward a add third 10.0.0.3 &&
	is_places a "second 10.0.0.2 0 2" "camera fd00:1::7 0 3" "third 10.0.0.3 0 4"
'

test_expect 'a name may come with the suffix, and an address is none' '
	forward a add Cam.mesh 10.0.0.8 >out 2>err && grep "^name  *cam$" out && forward a rm cam.home.mesh &&
	says 2 "is an address, where a name is wanted" forward a add 10.0.0.8 10.0.0.7 &&
	says 2 ".10.0.0.2. is an address" forward a rm 10.0.0.2 && grep "^hint: that is .second.: give the name" err &&
	says 1 "no forward .secnd." forward a rm secnd && grep "did you mean .second.?" err &&
	is_places a "second 10.0.0.2 0 2" "camera fd00:1::7 0 3" "third 10.0.0.3 0 4"
'

test_expect 'those of the configuration are shown with their badge, and no verb changes them' '
	f=$(echo a/mesh/networks/*/forwards) && echo "press 10.0.0.9 0 5 60 config" >>"$f" && forward a list >out &&
	grep "^press .* config  *home$" out && says 3 "stands in config.yaml" forward a rm press &&
	says 1 "already by config.yaml, to 10.0.0.9" forward a add press 10.0.0.1 && forward a add fifth 10.0.0.5 &&
	grep -x "press 10.0.0.9 0 5 60 config" "$f"
'

test_expect 'a sixth one is in the next block' '
	forward a add sixth 10.0.0.6 && places a >out && grep -x "fifth 10.0.0.5 0 6" out && grep -x "sixth 10.0.0.6 1 2" out
'

test_expect 'what the node can tell the others has an end, which is said' '
	meshanics mgmt-keys add --home full --name full >out && i=0 &&
	while forward full add "device-with-a-long-name-$i" 10.0.0.1 --quiet >out 2>err; do
		i=$((i + 1)) && [ "$i" -lt 64 ] || return 1
	done &&
	[ "$i" -ge 10 ] && grep "has no room for forward" err && grep "^hint: shorter names" err && [ "$(places full | wc -l)" -eq "$i" ]
'

test_expect 'with two networks the one is named, and neither is a target' '
	meshanics mgmt-keys add --home a --name office --ipv4-range 10.78.0.0/20 >out &&
	says 2 "in 2 networks" forward a add x 10.0.0.1 && says 3 "of network .office." forward a add x 10.78.0.1 --network home &&
	forward a add x 10.0.0.1 --network office && forward a list --network office >out && [ "$(wc -l <out)" -eq 2 ] &&
	forward a list >out && grep "^x .* office$" out && grep "^camera .* home$" out &&
	forward a rm x --network office && meshanics mgmt-keys rm office --home a --yes
'

test_expect 'files that were tampered with are refused, and left' '
	f=$(echo a/mesh/networks/*/forwards) && cp "$f" kept &&
	echo "printer 127.0.0.1 0 2 60" >"$f" && says 3 "file .forwards.: line 1" forward a add x 10.0.0.1 && says 3 "line 1" forward a list &&
	printf "a 10.0.0.1 0 2 60\nb 10.0.0.2 0 2 60\n" >"$f" && says 3 "line 2" forward a rm a &&
	cat kept >"$f" && chmod 640 "$f" && says 3 "forwards" forward a rm camera && chmod 600 "$f" && forward a list >out && cmp "$f" kept
'

test_done

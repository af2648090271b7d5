#!/bin/sh
# The resolver of the mesh, without the daemon: asked by dig, and by a systemd-resolved in namespaces of its own.
# TEST_RESOLVED_ROOT: where systemd-resolved (and dig) are unpacked, for those who do not want them installed.
. "$(dirname "$0")/lib.sh"

test_need_root
test_need ip nsenter

ROOT=${TEST_RESOLVED_ROOT:-}
DNS=$TEST_TOOLS/meshdns
PATH=$PATH${ROOT:+:$ROOT/usr/bin}
test -z "$ROOT" || {
	LD_LIBRARY_PATH=$ROOT/usr/lib/$(uname -m)-linux-gnu
	export LD_LIBRARY_PATH
}
resolved=
for f in "$ROOT/lib/systemd/systemd-resolved" "$ROOT/usr/lib/systemd/systemd-resolved"; do
	test ! -x "$f" || resolved=$f
done

# What lives in the namespaces: /run, /etc/hosts and the users are their own.
cat >holder.sh <<'END'
mount -t tmpfs run /run && mkdir -p /run/dbus /run/systemd/resolve && chown 997:997 /run/systemd/resolve || exit 1
for f in passwd group; do
	grep -v systemd-resolve "/etc/$f" >"$f"
done
echo 'systemd-resolve:x:997:997::/:/usr/sbin/nologin' >>passwd
echo 'systemd-resolve:x:997:' >>group
printf '127.0.0.1 localhost\n192.0.2.80 www.example.com\n198.18.40.1 evil.example.com\n' >hosts
echo 'nameserver 127.0.0.53' >resolv.conf
for f in passwd group hosts resolv.conf; do
	mount --bind "$f" "$(readlink -f "/etc/$f")" || exit 1
done
ip link set lo up || exit 1
echo ready
exec sleep 600
END
cat >bus.conf <<'END'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>
END

unshare -n -m --propagation private sh ./holder.sh >holder.log 2>&1 &
holder=$!
test_wait 10 grep -q ready holder.log || {
	kill "$holder" 2>/dev/null
	echo '1..0 # SKIP no network namespace' >&3
	test_finished=1
	exit 0
}

IN() { nsenter -t "$holder" -n -m "$@"; }
# start NAME CMD...: within the namespaces; its pid in NAME.pid
start() {
	start_name=$1
	shift
	nsenter -t "$holder" -n -m "$@" >"$start_name.log" 2>&1 &
	echo $! >"$start_name.pid"
}
stop() {
	kill -"${2:-TERM}" "$(cat "$1.pid")" 2>/dev/null
	wait "$(cat "$1.pid")"
}
# lookup ARGUMENT...: what our resolver answers, in short
lookup() { IN dig +short +tries=1 +timeout=3 @198.18.58.9 "$@"; }
serve() { start meshdns "$DNS" 198.18.58.9:53 --tun mesh0 "$@" && test_wait 10 grep -q ready meshdns.log; }
told() { IN resolvectl domain mesh0 | grep '^Link [0-9]* (mesh0): ~mesh$'; }

if ! command -v dig >/dev/null; then
	test_skip 'dig asks' 'dig is not installed'
else
	test_expect 'dig asks by UDP and TCP, forwards and backwards' '
		serve && v4=$(lookup nas.mesh) && v6=$(lookup +tcp NAS.Mesh AAAA) && echo "$v4 $v6" &&
		case $v4,$v6 in 198.18.*.*,fd12:*::1) ;; *) false ;; esac &&
		test "$(lookup -x "$v4")" = nas.mesh. && test "$(lookup +tcp -x "$v6")" = nas.mesh. &&
		test "$(lookup +noedns nas.mesh ANY | sort)" = "$(printf "%s\n%s" "$v4" "$v6")" &&
		test "$(lookup nas.home.mesh)" = "$v4" && lookup nas-cam.mesh | grep "^198[.]18[.]" &&
		IN dig @198.18.58.9 nobody.mesh >out && grep "status: NXDOMAIN" out && grep "^mesh.*SOA" out &&
		IN dig @198.18.58.9 www.example.com >out && grep "status: REFUSED" out &&
		IN dig @198.18.58.9 +bufsize=1232 +cookie +subnet=192.0.2.0/24 +dnssec nas.mesh >out &&
		grep "EDNS: version: 0, flags: do; udp: 1232" out &&
		stop meshdns
	'
fi

if test -z "$resolved" || ! command -v dbus-daemon >/dev/null || ! command -v resolvectl >/dev/null; then
	test_skip 'systemd-resolved asks' 'systemd-resolved is not installed'
else
	test_expect 'systemd-resolved is told when it comes, and that it was not there is said once' '
		serve --resolvectl "$(command -v resolvectl)" && test_wait 10 grep "^warn dns.resolved" meshdns.log &&
		start bus dbus-daemon --config-file="$PWD/bus.conf" --nofork &&
		test_wait 10 IN test -S /run/dbus/system_bus_socket && start resolved "$resolved" &&
		test_wait 30 grep "^info dns.resolved interface=mesh0 server=198.18.58.9 domain=~mesh" meshdns.log &&
		test "$(grep -c "^warn" meshdns.log)" = 1 && told
	'
	test_expect 'it asks us for names and addresses of the mesh, and for nothing else' '
		for f in 4 6; do
			IN resolvectl "-$f" query nas.mesh >out$f && cat out$f && grep "^nas.mesh: .* link: mesh0" out$f || return 1
		done &&
		v4=$(sed -n "s/^nas.mesh: \([0-9.]*\) .*/\1/p" out4) && v6=$(sed -n "s/^nas.mesh: \(fd12:[^ ]*\) .*/\1/p" out6) &&
		case $v4 in 198.18.*) ;; *) false ;; esac &&
		IN ip addr add "${v6%::*}::2/48" dev mesh0 nodad &&
		for a in "$v4" "$v6"; do
			IN resolvectl query "$a" >out && cat out && grep "^$a: nas.mesh .* link: mesh0" out || return 1
		done &&
		! IN resolvectl query nobody.mesh && ! IN resolvectl query nobody.example.com &&
		IN resolvectl status mesh0 >out && cat out && grep "Protocols: -DefaultRoute -LLMNR -mDNS" out &&
		grep "Current Scopes: DNS$" out && test "$(IN getent hosts nas.mesh | wc -l)" = 1
	'
	test_expect 'systemd-resolved started again knows it still' '
		stop resolved && start resolved "$resolved" && test_wait 10 told && IN resolvectl query nas.mesh
	'
	test_expect 'a kill leaves nothing behind, and the next start tells it anew' '
		! stop meshdns KILL && ! IN resolvectl query nas.mesh &&
		serve --resolvectl "$(command -v resolvectl)" && test_wait 10 grep "^info dns.resolved" meshdns.log && told &&
		IN resolvectl query nas.mesh && stop meshdns
	'
	if ! command -v dig >/dev/null; then
		test_skip 'systemd-resolved as the upstream' 'dig is not installed'
	else
		test_expect 'as the upstream it is asked for the rest, and what it says of the mesh and of us is left out' '
			serve --upstream 127.0.0.53:53 && test "$(lookup www.example.com)" = 192.0.2.80 &&
			test "$(lookup +tcp www.EXAMPLE.com)" = 192.0.2.80 &&
			IN dig @198.18.58.9 evil.example.com >out && cat out && grep "status: NOERROR" out &&
			grep "ANSWER: 0" out && test -z "$(lookup localhost)" && grep "^warn dns.stripped" meshdns.log &&
			stop meshdns
		'
	fi
fi

# Also what a test that failed has left.
for f in meshdns resolved bus; do
	test ! -f $f.pid || stop $f
done
kill "$holder"
wait "$holder" 2>/dev/null
test_done

#!/bin/sh
# What make install and make deb lay down, and how far systemd locks the units in.
. "$(dirname "$0")/lib.sh"

BUILD=$(dirname "$(command -v meshanics)")

test_expect 'make install fills DESTDIR and nothing else' '
	make -s -C "$TEST_SRC" B="$BUILD" DESTDIR="$PWD/root" PREFIX=/opt/m install &&
	test "$(ls root)" = opt &&
	test -x root/opt/m/bin/meshanics &&
	root/opt/m/bin/meshanics version &&
	for m in "$TEST_SRC"/man/*.[1-8]; do
		cmp "$m" "root/opt/m/share/man/man${m##*.}/$(basename "$m")" || return 1
	done &&
	test -s root/opt/m/share/bash-completion/completions/meshanics &&
	test -s root/opt/m/share/zsh/site-functions/_meshanics &&
	test -s root/opt/m/share/fish/vendor_completions.d/meshanics.fish &&
	test -s root/opt/m/lib/sysusers.d/meshanics.conf &&
	grep "^ExecStart=/opt/m/bin/meshanics serve$" root/opt/m/lib/systemd/system/meshanics-serve.service &&
	grep "^ExecStart=/opt/m/bin/meshanics agent run$" root/opt/m/lib/systemd/system/meshanics-agent.service &&
	grep "^ExecStart=/opt/m/bin/meshanics meshlan run$" root/opt/m/lib/systemd/system/meshanics-meshlan.service &&
	grep "^ExecStart=/opt/m/bin/meshanics agent apply --media" root/opt/m/lib/systemd/system/meshanics-apply@.service &&
	grep "^ExecStartPre=/usr/bin/systemd-mount " root/opt/m/lib/systemd/system/meshanics-apply@.service &&
	test -s root/opt/m/lib/udev/rules.d/99-meshanics-media.rules &&
	test -z "$(find root -perm /022 ! -type l)"
'

if command -v dpkg-deb >/dev/null 2>&1 && make -q -C "$TEST_SRC" build/meshanics; then
	test_expect 'make deb makes a package that needs libc6 alone' '
		deb=$(make -s -C "$TEST_SRC" B=build deb) && deb=$TEST_SRC/$deb &&
		dpkg-deb -I "$deb" control >control && cat control &&
		grep "^Package: meshanics$" control &&
		grep "^Depends: libc6 (>= 2\.[0-9]*)$" control &&
		dpkg-deb -c "$deb" >list && cat list &&
		grep "root/root .* ./usr/bin/meshanics$" list &&
		grep "man5/meshanics-api\.5\.gz$" list &&
		grep "systemd/system/meshanics-agent.service$" list &&
		grep "systemd/system/meshanics-apply@.service$" list &&
		grep "systemd/system/meshanics-meshlan.service$" list &&
		grep "udev/rules.d/99-meshanics-media.rules$" list &&
		grep "vendor-completions/_meshanics$" list &&
		! grep -v " root/root " list &&
		dpkg-deb -x "$deb" unpacked &&
		unpacked/usr/bin/meshanics version &&
		(dpkg-deb -e "$deb" ctl && cd unpacked && md5sum -c --quiet ../ctl/md5sums) &&
		for script in postinst prerm postrm; do sh -n ctl/$script || return 1; done &&
		cp "$deb" first.deb && make -s -C "$TEST_SRC" B=build deb && cmp first.deb "$deb"
	'
else
	test_skip 'make deb makes a package that needs libc6 alone' 'no dpkg-deb, or build/meshanics is not up to date'
fi

# exposure UNIT TENTHS: systemd finds the unit no more exposed than that.
exposure() {
	systemd-analyze security --no-pager --offline=true --threshold="$2" "$TEST_SRC/agent/units/$1"
}

if command -v systemd-analyze >/dev/null 2>&1; then
	test_expect 'the units are as closed as is promised' '
		exposure meshanics-serve.service 15 &&
		exposure meshanics-agent.service 24 &&
		exposure meshanics-apply@.service 10 &&
		exposure meshanics-meshlan.service 21 &&
		! exposure meshanics-agent.service 5
	'
	test_expect 'systemd understands every line of the units' '
		for u in "$TEST_SRC"/agent/units/*.service; do
			systemd-analyze verify --man=no "$u" 2>&1 |
				grep -v "/usr/bin/meshanics is not executable" |
				grep "$(basename "$u" .service)" && return 1
		done
		true
	'
else
	test_skip 'the units are as closed as is promised' 'systemd-analyze is not installed'
	test_skip 'systemd understands every line of the units' 'systemd-analyze is not installed'
fi

test_expect 'what udev sees of a stick starts the unit that names it, and mounts nothing that runs' '
	cd "$TEST_SRC/agent/units" && grep "ID_FS_LABEL}==\"MESHANICS\".*SYSTEMD_WANTS}+=\"meshanics-apply@dev-%k.service\"$" *.rules &&
	grep "^BindsTo=%i.device$" meshanics-apply@.service && systemd_mount=$(grep ^ExecStartPre= meshanics-apply@.service) &&
	for o in ro nosuid nodev noexec; do
		echo "$systemd_mount" | grep -E "[=,]$o[, ]" || return 1
	done
'
test_expect 'wiping itself is final, and the watchdog is on' '
	cd "$TEST_SRC/agent/units" &&
	grep "^RestartPreventExitStatus=86$" meshanics-agent.service &&
	for u in meshanics-serve.service meshanics-agent.service meshanics-meshlan.service; do
		grep "^Type=notify$" $u && grep "^WatchdogSec=" $u || return 1
	done &&
	for u in *.service; do
		grep "^NoNewPrivileges=yes$" $u || return 1
	done &&
	grep "^RestartPreventExitStatus=1 2 3$" meshanics-apply@.service &&
	! ls *.socket &&
	grep "^SocketBindDeny=any$" meshanics-agent.service &&
	grep "^DeviceAllow=/dev/net/tun rw$" meshanics-meshlan.service && grep "^DevicePolicy=closed$" meshanics-meshlan.service &&
	grep "^RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK$" meshanics-meshlan.service &&
	grep "^CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE$" meshanics-meshlan.service
'
test_done

#!/bin/sh
# A simulated fleet, for each number of devices: arrival, heartbeats every 60 s, 10,000 coming back at once, a rollout.
#
#	tests/bench/fleet.sh [N...]	(1000 10000 100000); prints a table for RESULTS.md and writes fleet.dat, which
#					tests/bench/plot makes fleet.svg of; OUT: where to (build/bench)
#
# SECONDS_EACH (60): of heartbeats at their rate. STORM (10000): how many come back at once. CONNECTIONS (4000): open at a
# time. PARALLEL (32): handshakes under way while the fleet arrives. Server and generator have a core each; processor
# time counts, wall time belongs to whoever else is on the machine.

[ $# -gt 0 ] || set -- 1000 10000 100000
fleets=$*
seconds=${SECONDS_EACH:-60}
storm=${STORM:-10000}
dir='' cores=''	# set by what is read here
# shellcheck source=tests/bench/load-site.sh
. "$(dirname "$0")/load-site.sh"
out=${OUT:-$top/build/bench}
mkdir -p "$out" || exit 1

# get PHASE FIELD
get() { grep "\"mode\":\"$1\"" "$dir/result" | field "$2"; }
kib() { du -sk "$1" | cut -f 1; }

echo '# devices | arrive: cpu ms a device, s | steady: share of a core, p50 ms, p99 ms, bytes a heartbeat | storm: s, cpu ms each | rollout: create s, all done s, cpu ms a device | pss MiB | database MiB' >"$out/fleet.dat"
for n in $fleets; do
	say "$n devices: making"
	rm -rf "$dir/hq" "$dir/off" "$dir/signed" "$dir/devices" "$dir/online.json" "$dir/request" "$dir"/*.answer "$dir"/plc*
	site_make "$n"
	database=$(kib "$dir/hq/control/meshanics.db")
	site_serve
	say "$n devices: running"
	load fleet --connections "${CONNECTIONS:-4000}" --parallel "${PARALLEL:-32}" --seconds "$seconds" --interval 60 \
		--storm "$storm" --register 1 --timeout "${TIMEOUT:-3600}" \
		--rollout "'$dir/meshanics' --home '$dir/hq' rollout create plant/plc/1 --all --waves 10,100" >"$dir/result" || exit 1
	cat "$dir/result" >&2
	site_stop
	awk -v n="$n" -v arrive_cpu="$(get arrive server_cpu_us)" -v arrive_s="$(get arrive seconds)" \
		-v arrive_n="$(get arrive requests)" -v share="$(get steady server_cpu_share)" -v p50="$(get steady p50_us)" \
		-v p99="$(get steady p99_us)" -v out="$(get steady bytes_out)" -v in_="$(get steady bytes_in)" \
		-v storm_s="$(get storm seconds)" -v storm_cpu="$(get storm server_cpu_us)" -v create="$(get rollout command_s)" \
		-v roll_s="$(get rollout seconds)" -v roll_cpu="$(get rollout server_cpu_us)" -v roll_n="$(get rollout requests)" \
		-v pss="$(get rollout pss_kib)" -v before="$database" -v db="$(kib "$dir/hq/control/meshanics.db")" 'BEGIN {
		printf "%d %.3f %.1f %.4f %.2f %.2f %.0f %.2f %.3f %.2f %.1f %.3f %.1f %.1f %.1f\n", n,
			arrive_cpu * arrive_n / n / 1e3, arrive_s, share, p50 / 1e3, p99 / 1e3, out + in_, storm_s, storm_cpu / 1e3,
			create, roll_s, roll_cpu * roll_n / n / 1e3, pss / 1024, before / 1024, db / 1024 }' >>"$out/fleet.dat"
done

echo "$(date +%F), $(uname -m), $cores cores, load $(cut -d ' ' -f 1 /proc/loadavg)"
echo
echo '| devices | arrival: processor ms each | s in all | heartbeats: share of a core | p50 ms | p99 ms | bytes each | back at once: s | processor ms each | rollout: s to create | s until all are healthy | processor ms each | memory MiB | database MiB before | after |'
echo '|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|'
sed '/^#/d; s/ / | /g; s/^/| /; s/$/ |/' "$out/fleet.dat"

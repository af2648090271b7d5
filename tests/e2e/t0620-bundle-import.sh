#!/bin/sh
# `bundle import` and `bundle receipt`: what a bundle brings comes into force, whatever else comes leaves no trace, and
# what a site holds is told to where the bundles are made.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/site.sh
. "$TEST_SRC/tests/e2e/site.sh"
test_need jq perl tar

# put VERSION FILE [ARG...]: publish plant/app/VERSION at headquarters.
put() {
	put_v=$1 put_f=$2
	shift 2
	as hq sign "$put_f" --namespace plant --name app --version "$put_v" "$@" >/dev/null
}

# depot_root HOME [BOX]: the ceremony for the first root of site HOME, like headquarters'; into HOME.out/.
depot_root() {
	depot_h=$1
	as "$depot_h" repo init --site "$depot_h" --output "$depot_h.online.json" &&
		as alice ceremony new --online-keys "$depot_h.online.json" --like hq.out/root.json -o "$depot_h.request.json" &&
		depot_f=$(fingerprint "$depot_h.request.json") &&
		as alice ceremony sign "$depot_h.request.json" --key alice --fingerprint "$depot_f" -o "$depot_h.alice.json" &&
		as carol ceremony sign "$depot_h.request.json" --key carol --fingerprint "$depot_f" -o "$depot_h.carol.json" &&
		mkdir "$depot_h.out" &&
		as alice ceremony finish "$depot_h.request.json" "$depot_h.alice.json" "$depot_h.carol.json" -o "$depot_h.out"
}

# export NAME [ARG...]: NAME.bundle for the depot.
export_to() {
	export_n=$1
	shift
	as hq bundle export --site depot-7 -o "$export_n.bundle" --force "$@"
}

# tree HOME: every file of it, with its bytes.
tree() {
	(cd "$1" && find . -type f ! -name "*.sock" -exec sha256sum {} + | sort && find . -type d | sort)
}

# published HOME: what its clients see, in one line.
published() {
	as "$1" artifact list --json | jq -r "[.artifacts[].artifact] | sort | join(\" \")"
}

# versions HOME ROLE: the version in force.
version_of() {
	as "$1" repo status --json | jq -r --arg r "$2" ".roles[] | select(.role == \$r) | .version"
}

test_expect 'headquarters with artifacts, and a depot under the same offline keys' '
	for i in 1 2 3 4 5 6; do head -c 30000 /dev/urandom >"app-$i" || return 1; done && cp app-1 app-2 && : >app-3 &&
	site_up hq && depot_root depot-7 && as hq repo adopt depot-7.out/root.json &&
	as depot-7 repo adopt depot-7.out/root.json hq.out/targets.json && cp -a depot-7 depot.new &&
	for i in 1 2 3 4; do put "$i" "app-$i" || return 1; done && export_to one
'

test_expect 'a dry run tells what would be, and changes nothing at all' '
	tree depot-7 >before && as depot-7 bundle import --dry-run one.bundle >out && cat out &&
	grep "^artifacts  *3 read, 3 new" out && grep "it would be imported; nothing has changed" out &&
	tree depot-7 >after && cmp before after && test_status 2 as depot-7 bundle import --dry-run --receipt r one.bundle
'

test_expect 'a bundle comes into force' '
	as depot-7 bundle import one.bundle >out && cat out && grep "^in force  *root 1, targets 1" out &&
	as depot-7 repo verify && test "$(published depot-7)" = "plant/app/1 plant/app/2 plant/app/3 plant/app/4" &&
	test "$(published depot-7)" = "$(published hq)" && test -z "$(ls -A depot-7/repo/staging)" &&
	test "$(ls -A depot-7/repo/import)" = lock &&
	as depot-7 audit list --action bundle.import --json >a.json && cat a.json &&
	test_json ".records | length == 1 and .[0].object == \"site:main\" and .[0].verdict == \"ok\" and .[0].detail.sequence == 1" a.json &&
	test "$(jq -r ".records[0].detail.bundle" a.json)" = "$(tar -xOf one.bundle bundle.json | sha256sum | cut -d " " -f 1)"
'
test_done

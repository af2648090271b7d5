#!/bin/sh
# Our client and tuf-js over the same generated repositories and attacks: where they differ, differences.js says why.
# INTEROP_SEED chooses others, INTEROP_CASES how many. One alone: node tests/interop/differential.js --case I ...
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"
test_need faketime

: "${INTEROP_SEED:=one}" "${INTEROP_CASES:=2030}" "${INTEROP_JUDGE:=$TEST_SRC/build/tests/interop/judge}"

# nothing LIST: that list of the report is empty, or its lines are shown.
nothing() {
	jq -r ".$1[]" report >list && head -n 30 list && test ! -s list
}

test_expect "$INTEROP_CASES repositories of seed $INTEROP_SEED, four in five under attack" '
	mkdir work && node "$TEST_SRC/tests/interop/differential.js" --judge "$INTEROP_JUDGE" \
		--verb "$(command -v meshanics)" --sample 60 --work work --seed "$INTEROP_SEED" --cases "$INTEROP_CASES" >report &&
	test_json ".cases == $INTEROP_CASES and .attacks >= .cases * 0.7 and .kinds >= 200" report &&
	test_json ".accepted > .cases * 0.5 and .refused > .cases * 0.3 and .sampled >= 60" report
'
test_expect 'our client says what the catalogue of attacks wants' 'nothing unexpected'
test_expect 'where tuf-js says otherwise, the table says who is right' 'nothing unmatched'
test_expect 'every entry of the table was met' 'nothing never'
test_expect 'the verb says over http what the engine says' 'nothing verb'

test_done

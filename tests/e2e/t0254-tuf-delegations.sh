#!/bin/sh
# tuf-client against a server: the search through delegations, patterns, prefixes, bins, names, keys of delegators.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tuf.sh
. "$TEST_SRC/tests/e2e/tuf.sh"
tuf_cases delegations

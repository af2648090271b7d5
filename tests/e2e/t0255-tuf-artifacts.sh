#!/bin/sh
# tuf-client against a server: artifacts, their URLs, names and hashes, the cache, substitution.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tuf.sh
. "$TEST_SRC/tests/e2e/tuf.sh"
tuf_cases artifacts

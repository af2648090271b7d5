#!/bin/sh
# tuf-client against a server: rollback, recovery by new keys, expiry of what is served and stored.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tuf.sh
. "$TEST_SRC/tests/e2e/tuf.sh"
tuf_cases rollback

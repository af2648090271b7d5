#!/bin/sh
# tuf-client against a server: kinds of keys, thresholds, duplicates, odd signatures, rotations.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tuf.sh
. "$TEST_SRC/tests/e2e/tuf.sh"
tuf_cases keys

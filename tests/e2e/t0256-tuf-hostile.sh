#!/bin/sh
# tuf-client against the worst: hostile and endless answers, limits, damaged files, neighbours.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tuf.sh
. "$TEST_SRC/tests/e2e/tuf.sh"
tuf_cases hostile

#!/bin/sh
# tuf-client against a server: the top-level roles, its requests, what it stores, its two answers.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tuf.sh
. "$TEST_SRC/tests/e2e/tuf.sh"
tuf_cases refresh

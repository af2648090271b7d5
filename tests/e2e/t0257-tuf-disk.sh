#!/bin/sh
# tuf-client and its disk: power cuts, errors and full disks at every call, kills at any moment.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tuf.sh
. "$TEST_SRC/tests/e2e/tuf.sh"
tuf_cases disk

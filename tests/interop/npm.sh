#!/bin/sh
# Install the npm packages that tests/interop judges with, by exact version, into DIR, unless they are there.
# Without node or npm nothing happens: the tests skip themselves and name what is missing.
# usage: tests/interop/npm.sh DIR
set -eu
dir=$1
packages='tuf-js@3.1.0 @tufjs/models@3.0.1'

command -v node >/dev/null && command -v npm >/dev/null || exit 0
[ "$(cat "$dir/packages" 2>/dev/null)" != "$packages" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir"
# shellcheck disable=SC2086 # a list of words
npm install --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error --prefix "$dir" $packages \
	>/dev/null || {
	echo "$0: npm cannot install $packages; without a network there is no make interop" >&2
	exit 1
}
echo "$packages" >"$dir/packages"

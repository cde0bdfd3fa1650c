#!/bin/sh
# The whole gate, before every push: style, types, contracts, documents, the unit file, all tests.
# Minutes on two cores. What .ci/run does on a bare machine, here with the tools already there.
set -eu
cd "$(dirname "$0")/.."
make --no-print-directory check
deploy/check-unit.sh
make --no-print-directory test

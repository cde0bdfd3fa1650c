#!/bin/sh
# Refuses a unit file that is open wider than 1.5 (0 = closed, 10 = bare), as systemd itself judges it.
# Needs no running systemd.
set -eu
cd "$(dirname "$0")"
command -v systemd-analyze >/dev/null 2>&1 || { echo "systemd-analyze is not installed (Debian: package systemd); the unit was not judged" >&2; exit 1; }
systemd-analyze security --offline=true --threshold=15 --no-pager yardmaster.service | tail -n 1

#!/bin/sh
# Installs what the tests need beside Python packages: a real MQTT broker, a real browser with a font and with the
# library its driver wants (libatomic), and systemd's own judge of unit files. Does nothing when all of it is there.
# With "bench": what the relay benchmark needs instead, nginx to compare with and a compiler for its load generator.
set -eu

missing=""
have() { PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null 2>&1; }
if [ "${1:-}" = bench ]; then
    have nginx || missing="$missing nginx-light"
    have cc || missing="$missing gcc libc6-dev"
else
    have mosquitto || missing="$missing mosquitto"
    have chromium || have chromium-browser || missing="$missing chromium"
    [ -d /usr/share/fonts/truetype/dejavu ] || missing="$missing fonts-dejavu-core"
    [ -n "$(find /usr/lib /usr/lib64 -name 'libatomic.so.1' 2>/dev/null)" ] || missing="$missing libatomic1"
    have systemd-analyze || missing="$missing systemd"
fi
[ -n "$missing" ] || exit 0

refuse() { printf '%s\n' "yardmaster: the tests need$missing; $*" >&2; exit 1; }
command -v apt-get >/dev/null 2>&1 || refuse "install them with your system's package manager"
if [ "$(id -u)" = 0 ]; then root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; then root="sudo -n"
else refuse "run: sudo apt-get install --no-install-recommends$missing"
fi

printf '%s\n' "yardmaster: installing$missing" >&2
# shellcheck disable=SC2086 - the lists are meant to be split
$root apt-get update -qq >/dev/null \
    && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null \
    || refuse "apt-get could not install them (its message is above)"

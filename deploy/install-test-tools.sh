#!/bin/sh
# Installs what the tests need beside Python packages: a real MQTT broker, a real browser with a font and with the
# library its driver wants (libatomic), and systemd's own judge of unit files. Two real servers of history, InfluxDB and
# VictoriaMetrics, are only unpacked below build/test-tools: installed they would start as services. Does nothing when all
# of it is there.
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
tools="$(cd "$(dirname "$0")/.." && pwd)/build/test-tools"
stores=""
if [ "${1:-}" != bench ]; then
    have influxd || [ -x "$tools/usr/bin/influxd" ] || stores="$stores influxdb"
    have victoria-metrics || [ -x "$tools/usr/bin/victoria-metrics" ] || stores="$stores victoria-metrics"
fi
[ -n "$missing$stores" ] || exit 0

refuse() { printf '%s\n' "yardmaster: the tests need$missing$stores; $*" >&2; exit 1; }
command -v apt-get >/dev/null 2>&1 || refuse "install them with your system's package manager"
unpack() {
    [ -n "$stores" ] || return 0
    printf '%s\n' "yardmaster: unpacking$stores" >&2
    fetched="$(mktemp -d)"
    # shellcheck disable=SC2086 - the list is meant to be split
    (cd "$fetched" && chmod 755 . && apt-get download -qq $stores >/dev/null 2>&1) || { rm -rf "$fetched"; return 1; }
    mkdir -p "$tools"
    for package in "$fetched"/*.deb; do dpkg -x "$package" "$tools" || return 1; done
    rm -rf "$fetched"
    stores=""
}
if [ -z "$missing" ] && unpack; then exit 0; fi
if [ "$(id -u)" = 0 ]; then root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; then root="sudo -n"
else refuse "run: sudo apt-get update && sudo apt-get install --no-install-recommends$missing"
fi

$root apt-get update -qq >/dev/null || refuse "apt-get could not update its lists (its message is above)"
if [ -n "$missing" ]; then
    printf '%s\n' "yardmaster: installing$missing" >&2
    # shellcheck disable=SC2086 - the lists are meant to be split
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null \
        || refuse "apt-get could not install them (its message is above)"
    missing=""
fi
unpack || refuse "apt-get could not download them"

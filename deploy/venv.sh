#!/bin/sh
# Makes or renews the virtual environment: deploy/venv.sh FOLDER EXTRAS, e.g. deploy/venv.sh .venv demo,dev
#
# Needs a Python 3.11 or newer and a package index that pip knows (its environment variables and pip.conf
# count as usual). Does nothing when the folder already holds what pyproject.toml and constraints.txt ask
# for. PYTHON names the interpreter.
set -eu

venv=${1:?usage: deploy/venv.sh FOLDER EXTRAS}
extras=${2:?usage: deploy/venv.sh FOLDER EXTRAS}
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."

say() { printf '%s\n' "yardmaster: $*" >&2; }
refuse() { say "$*"; exit 1; }

command -v "$python" >/dev/null 2>&1 || refuse "there is no $python here; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3 demo"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || refuse "$python is version $version, but 3.11 or newer is needed; name another one: make PYTHON=python3.12 demo"

# The stamp says what was installed: same interpreter, same wishes, same pins -> nothing to do.
wanted=$({ "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; cat pyproject.toml constraints.txt deploy/venv.sh; } \
    | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
stamp="$venv/.installed-$(printf '%s' "$extras" | tr ',' '-')"
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; then sudo -n "$@"
    else return 1
    fi
}

# Debian and Ubuntu keep the part of Python that puts pip into a new environment in a package of its own.
ensure_venv_works() {
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    case $python in python3 | */python3) package=python3-venv ;; *) package=python$version-venv ;; esac
    help="run: sudo apt-get install $package   and then make again"
    command -v apt-get >/dev/null 2>&1 || refuse "$python cannot make virtual environments (no ensurepip); install your system's package for it"
    say "$python cannot make virtual environments yet; installing $package"
    as_root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -qq && apt-get install -y -qq --no-install-recommends $package" >/dev/null \
        || refuse "$package is missing and could not be installed from here; $help"
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || refuse "$package is installed, but $python still has no ensurepip; $help"
}

# A folder left by a broken attempt, or made by another Python, is made anew.
usable() { "$venv/bin/python" -c "import pip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" >/dev/null 2>&1; }
if ! usable; then
    ensure_venv_works
    "$python" -m venv --clear "$venv" || refuse "could not make the virtual environment $venv"
fi

say "installing into $venv (once; takes a minute or two) ..."
rm -f "$venv"/.installed-*
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable ".[$extras]" \
    || refuse "pip could not install everything (its message is above). Does this machine reach a package index?"
printf '%s' "$wanted" >"$stamp"
# Whoever has the tools for tests also has everything the demo needs.
case $extras in demo,dev) printf '%s' "$wanted" >"$venv/.installed-demo" ;; esac

#!/usr/bin/env bash
# Sets up everything that `make demo` and `make test` need, from a machine with Python >= 3.11 only:
# the libraries of Debian or Ubuntu that Qt and OpenGL load, Xvfb where there is no display, and a virtual
# environment with napari-ois installed in place. A second run finds its work done and takes a second.
#
#   PYTHON  the interpreter to use (default: the first of python3, python3.13 ... 3.11, 3.14 that is one of 3.11 to 3.14)
#   VENV    where the environment goes (default: .venv)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

EXTRAS="viewer,testing"
STAMP="$VENV/.napari-ois-setup"

# --- the system's libraries ---------------------------------------------------------------------------

# A name with bars is one need with several names, by release: the first that this release has is taken.
QT_LIBRARIES="libgl1 libglx-mesa0 libgl1-mesa-dri libegl1 libopengl0 libdbus-1-3 libfontconfig1 libfreetype6
    libglib2.0-0t64|libglib2.0-0 libsm6 libice6 libx11-6 libx11-xcb1 libxext6 libxi6 libxrender1
    libxkbcommon0 libxkbcommon-x11-0 libxcb1 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1
    libxcb-randr0 libxcb-render0 libxcb-render-util0 libxcb-shape0 libxcb-shm0 libxcb-sync1 libxcb-util1
    libxcb-xfixes0 libxcb-xinerama0 libxcb-xkb1"
SCREEN_PACKAGES="xvfb xauth fonts-dejavu-core"

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

known() {
    apt-cache policy "$1" 2>/dev/null | grep 'Candidate:' | grep -qv '(none)'
}

# The names in NEED that are missing, one way to spell each; UNKNOWN is set where a need has no known name.
missing_packages() {
    MISSING="" UNKNOWN=""
    local need name chosen
    for need in "$@"; do
        chosen=""
        for name in ${need//|/ }; do
            if installed "$name"; then
                chosen=have
                break
            fi
        done
        [ "$chosen" = have ] && continue
        for name in ${need//|/ }; do
            if known "$name"; then
                chosen="$name"
                break
            fi
        done
        if [ -n "$chosen" ]; then MISSING="$MISSING $chosen"; else UNKNOWN="$UNKNOWN $need"; fi
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        printf 'error: root rights (or sudo) are needed for: %s\n' "$*" >&2
        return 1
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# apt_install NEED...: install what is missing with one call; a name that no release knows is left out.
apt_install() {
    missing_packages "$@"
    [ -z "$MISSING$UNKNOWN" ] && return 0
    # Where every missing name is known, the lists are there already; an old list shows itself as a failed install.
    if [ -n "$UNKNOWN" ]; then
        apt_get update || return 1
        missing_packages "$@"
    fi
    [ -n "$UNKNOWN" ] && say "not in this release, left out:$UNKNOWN"
    [ -z "$MISSING" ] && return 0
    say "apt-get install$MISSING"
    # shellcheck disable=SC2086
    apt_get install -y --no-install-recommends $MISSING && return 0
    apt_get update || return 1
    # shellcheck disable=SC2086
    apt_get install -y --no-install-recommends $MISSING
}

system_libraries() {
    if ! command -v apt-get >/dev/null 2>&1; then
        has_display || command -v xvfb-run >/dev/null 2>&1 ||
            fail "there is no display and no xvfb-run: install Xvfb and Qt's xcb libraries with this system's package manager, then run make again."
        return 0
    fi
    if has_display; then
        # shellcheck disable=SC2086
        apt_install $QT_LIBRARIES ||
            say "could not install libraries that Qt may need; going on, since this machine has a display."
    else
        # shellcheck disable=SC2086
        apt_install $SCREEN_PACKAGES $QT_LIBRARIES || {
            command -v xvfb-run >/dev/null 2>&1 ||
                fail "there is no display, and Xvfb could not be installed: run 'apt-get install xvfb' as root, then run make again."
        }
    fi
}

# --- Python -------------------------------------------------------------------------------------------

# Asked by running it: a name on PATH may be a version manager's shim for a version that is not chosen.
suitable() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# The pinned versions have wheels for these; what is newer has to be named.
tried() {
    "$1" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        suitable "$PYTHON" || fail "PYTHON=$PYTHON is not a Python of version 3.11 or newer."
        return 0
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        if tried "$candidate"; then
            PYTHON="$candidate"
            return 0
        fi
    done
    fail "no Python of version 3.11 to 3.14 was found: install one, or name it with 'make PYTHON=/path/to/python3'."
}

digest() {
    "$PYTHON" - "$ROOT" "$EXTRAS" <<'END'
import hashlib, pathlib, sys

root, extras = sys.argv[1:]
# The environment is tied to this folder, to what it installs and to the version that is written into it.
parts = [root, extras, sys.version]
for name in ("pyproject.toml", "constraints.txt", "src/napari_ois/__init__.py"):
    parts.append(pathlib.Path(root, name).read_text(encoding="utf-8"))
print(hashlib.sha256("\0".join(parts).encode()).hexdigest())
END
}

can_make_environments() {
    "$PYTHON" -c 'import ensurepip, venv' >/dev/null 2>&1
}

make_environment() {
    if ! can_make_environments && command -v apt-get >/dev/null 2>&1; then
        # Debian keeps venv and ensurepip in packages of their own.
        apt_install "$("$PYTHON" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')|python3-venv" || true
    fi
    can_make_environments ||
        fail "$PYTHON has no venv or ensurepip module: install python3-venv, or name another Python with 'make PYTHON=...'."
    # A folder that is somebody's own must never be cleared.
    if [ -d "$VENV" ] && [ ! -f "$VENV/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV")" ]; then
        fail "VENV=$VENV is a folder with other things in it: name a new folder."
    fi
    # An environment whose interpreter is gone or is of another version is made anew.
    if [ "$("$VENV/bin/python" -c 'import sys; print(sys.version)' 2>/dev/null)" != "$("$PYTHON" -c 'import sys; print(sys.version)')" ] ||
        ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        "$PYTHON" -m venv --clear "$VENV"
    fi
}

pip_install() {
    local quiet=--quiet
    [ -t 1 ] && quiet=""
    # shellcheck disable=SC2086
    "$VENV/bin/python" -m pip install $quiet --disable-pip-version-check --no-input -c constraints.txt "$@"
}

# --- the steps ----------------------------------------------------------------------------------------

find_python
if [ "$(uname -s)" = Linux ]; then
    step "system libraries" system_libraries
fi
DIGEST="$(digest)"
if [ "$(cat "$STAMP" 2>/dev/null)" = "$DIGEST" ] && [ -x "$VENV/bin/napari-ois" ]; then
    say "environment $VENV is up to date"
    exit 0
fi
step "virtual environment $VENV ($("$PYTHON" --version))" make_environment
rm -f "$STAMP"
# torch first and alone: it is by far the largest, and pip then resolves the rest around the one it has.
step "install torch" pip_install torch
step "install napari-ois[$EXTRAS]" pip_install -e ".[$EXTRAS]"
printf '%s\n' "$DIGEST" >"$STAMP"
say "set-up took $SECONDS s"

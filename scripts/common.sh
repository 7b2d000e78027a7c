# shellcheck shell=bash
# What the scripts share: where things are, how a step is announced, and whether there is a screen.
# Sourced, never run. Works with the bash 3.2 that macOS ships.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${VENV:-.venv}"
case "$VENV" in
    /*) ;;
    *) VENV="$ROOT/$VENV" ;;
esac
cd "$ROOT"

say() {
    printf '== %s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# step NAME COMMAND...: run a step and say how long it took; a step that fails ends the script.
step() {
    local name="$1" began=$SECONDS
    shift
    say "$name"
    "$@" || fail "the step '$name' failed after $((SECONDS - began)) s; what it said is above."
    say "$name: $((SECONDS - began)) s"
}

has_display() {
    [ "$(uname -s)" = Darwin ] || [ -n "${DISPLAY:-}" ] || [ -n "${WAYLAND_DISPLAY:-}" ]
}

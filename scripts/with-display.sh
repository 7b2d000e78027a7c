#!/usr/bin/env bash
# Runs a command where it can open windows: as it is on a machine with a display, else on a virtual screen.
#
#   scripts/with-display.sh COMMAND [ARGUMENT...]
set -euo pipefail

[ $# -gt 0 ] || {
    echo "usage: scripts/with-display.sh COMMAND [ARGUMENT...]" >&2
    exit 2
}

if [ "$(uname -s)" = Darwin ] || [ -n "${DISPLAY:-}" ] || [ -n "${WAYLAND_DISPLAY:-}" ]; then
    exec "$@"
fi
command -v xvfb-run >/dev/null 2>&1 || {
    echo "error: there is no display and no xvfb-run: run scripts/setup.sh, or install Xvfb." >&2
    exit 1
}
# There is no GPU behind a virtual screen: Mesa draws in software, and says so less often when told.
export LIBGL_ALWAYS_SOFTWARE=1
exec xvfb-run -a -s "-screen 0 1600x1000x24" "$@"

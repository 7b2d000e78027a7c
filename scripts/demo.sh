#!/usr/bin/env bash
# The demo: napari with the widget docked on a real image and a first click made. With a display it stays
# open for the next click; without one the same runs on a virtual screen and leaves pictures in demo-output/.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if has_display; then
    exec "$VENV/bin/napari-ois" demo "$@"
fi
step "demo on a virtual screen" bash scripts/with-display.sh "$VENV/bin/napari-ois" demo --output demo-output --exit "$@"

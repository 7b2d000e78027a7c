#!/usr/bin/env bash
# The whole check: lint first (it is quick and finds what is plainly wrong), then pytest with a real viewer.
# pytest comes last, so that its summary is the end of the output. Arguments go to pytest.
#
#   WORKERS=auto    processes that share the test files; one a core, or 0 for none (then --pdb works)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

bash scripts/lint.sh
say "pytest"
exec bash scripts/with-display.sh "$VENV/bin/python" -m pytest -n "${WORKERS:-auto}" --dist loadfile "$@"

#!/usr/bin/env bash
# The checks that run no code of ours: ruff, mypy, and the floors' import contracts.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

step "ruff" "$VENV/bin/ruff" check .
step "ruff format" "$VENV/bin/ruff" format --check .
step "import contracts" "$VENV/bin/lint-imports"
step "mypy" "$VENV/bin/mypy"

# The commands of this checkout. Each sets up what it needs first; the work is in scripts/.
#
#   make demo                     open napari on a real image with a first click made
#   make test                     every check and every test        (PYTEST_ARGS="-k clicks")
#   make lint                     ruff, import contracts, mypy
#   make evaluate DATA=folder     the model against what else is at hand, by robot clicks  (EVALUATE_ARGS="--jobs 2 ...")
#   make clean / make distclean   remove what was made / and the environment too
#
#   PYTHON=/path/to/python3       the interpreter to build the environment from
#   VENV=.venv                    the environment's folder

VENV ?= .venv
export VENV
ifdef PYTHON
export PYTHON
endif

.PHONY: help setup demo test lint evaluate clean distclean

help:
	@sed -n 's/^#   //p' Makefile

setup:
	@bash scripts/setup.sh

demo: setup
	@bash scripts/demo.sh

test: setup
	@bash scripts/test.sh $(PYTEST_ARGS)

lint: setup
	@bash scripts/lint.sh

evaluate:
	@test -n "$(DATA)" || { echo "error: name the folder of annotated images: make evaluate DATA=folder" >&2; exit 2; }
	@test -d "$(DATA)" || { echo "error: there is no folder $(DATA)" >&2; exit 2; }
	@bash scripts/setup.sh
	@"$(VENV)/bin/napari-ois" evaluate "$(DATA)" --method ois-compact --method grabcut --method random-walker \
		--method flood-fill $(EVALUATE_ARGS)

clean:
	rm -rf build dist site demo-output .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean
	@if [ -f "$(VENV)/pyvenv.cfg" ]; then echo 'rm -rf "$(VENV)"'; rm -rf "$(VENV)"; fi

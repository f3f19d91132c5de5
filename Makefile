# make quickstart | test | lint | docs: each creates .venv when it is missing or stale and installs nothing outside it.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export RAY_AIR_NEW_OUTPUT := 0
export TOKENIZERS_PARALLELISM := false

.PHONY: quickstart test lint docs wheel-check soak tables environment clean
.DEFAULT_GOAL := quickstart

quickstart: environment
	$(BIN)/python examples/quickstart.py $(ARGS)

# One thread a process: two processes with two threads each would wait for each other's.
test: environment
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in site/index.html. A warning, or a link that leads nowhere, fails it (with --quiet it would not).
docs: environment
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)

# Installs the wheel in a bare environment, which takes some minutes; ARGS=--borrow takes the packages of .venv instead.
wheel-check: environment
	$(BIN)/python benchmarks/wheel.py $(ARGS)

# ARGS are those of soak.py.
soak: environment
	$(BIN)/python benchmarks/soak.py $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzz.py
	$(BIN)/python benchmarks/scale.py --tune

# From committed curves, scores and replays: benchmarks/loo_scores.py and benchmarks/sweep.py make those.
tables: environment
	$(BIN)/python benchmarks/tables.py --test-families $(ARGS)

# Stale: another Python, another folder, or other requirements than those it was made from.
environment:
	@wanted="$$(cat setup.cfg pyproject.toml constraints.txt | cksum) $$PWD $$($(PYTHON) -V)"
	if [ -x $(BIN)/python ] && [ "$$(cat .venv/made-from 2>/dev/null)" = "$$wanted" ]; then exit 0; fi
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.10 to 3.13 is needed, but $(PYTHON) is $$($(PYTHON) -V); run make PYTHON=..."; exit 1; }
	echo "Creating the environment in .venv (PyTorch and Ray are large: this takes a few minutes)"
	rm -rf .venv
	$(PYTHON) -m venv .venv
	export PIP_CONSTRAINT="$$PWD/constraints.txt" PIP_DISABLE_PIP_VERSION_CHECK=1
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs]'
	if command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null; then
	  $(BIN)/python -m pip install --quiet --editable '.[bohb]' \
	    || echo "BOHB could not be installed (its netifaces did not build): its tests are skipped"
	else
	  echo "No C compiler: BOHB's netifaces cannot be built, so BOHB is left out and its tests are skipped"
	fi
	echo "$$wanted" > .venv/made-from

clean:
	rm -rf .venv build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache
.ONESHELL:

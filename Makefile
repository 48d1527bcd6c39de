# One environment for everything: made at first use, made again when its two files change. What only the checks need,
# torch among it, comes with the first check.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CHECKS := $(VENV)/.checks

.DEFAULT_GOAL := help
.PHONY: help demo test bench evidence docs lint types arrows wheel-test clean

help:  ## show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(READY)  ## watch a learning algorithm being invented, in seconds once everything is set up
	@$(BIN)/selftaught evolve --preset demo --seconds 300 --out runs/demo --fresh
	@echo "        $(BIN)/selftaught evolve digits --seconds 60         → the same on pictures of digits"

# Tests that import torch run in a process of their own, beside the others; the last line is the summary of the others.
test: lint types arrows wheel-test  ## run every check; the last line is the tests' summary
	@$(BIN)/python tools/tests.py

bench: $(READY)  ## measure the speed of program evolution on this machine
	@$(BIN)/python benchmarks/programs.py

evidence: $(CHECKS)  ## reproduce every claim at the tiny scale, each with its control
	@$(BIN)/python benchmarks/evidence.py

docs: $(READY)  ## write anew what is generated in docs: measured pages, the operators' table, the picture
	@$(BIN)/python -m benchmarks.report
	@$(BIN)/python docs/generate.py

lint: $(CHECKS)  ## check the style
	@$(BIN)/ruff check --quiet .
	@echo "lint: clean"

types: $(CHECKS)  ## check the types
	@$(BIN)/mypy

arrows: $(CHECKS)  ## check that imports point downwards only
	@$(BIN)/lint-imports --no-logo > $(VENV)/arrows.txt 2>&1 || { cat $(VENV)/arrows.txt; exit 1; }
	@grep '^Contracts:' $(VENV)/arrows.txt

wheel-test: $(CHECKS)  ## build the wheel, install it elsewhere and use it
	@sh tests_wheel/run.sh $(BIN)/python

clean:  ## remove the environment, the caches and what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt tools/environment.py
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("selftaught needs Python 3.11 or newer, but this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 ...")'
	@$(PYTHON) tools/environment.py $(VENV) base
	@touch $@

$(CHECKS): $(READY)
	@$(PYTHON) tools/environment.py $(VENV) test
	@touch $@

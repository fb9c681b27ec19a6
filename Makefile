# Every command a developer needs. `make help` lists them; CI calls nothing else (.ci/run).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Tests start the command hundreds of times; compiled once, it starts in a third of the time.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
CODE := pipeline provenance tests benchmarks
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup format lint types test test-unit test-integration test-e2e test-night test-modes test-all faults docs-check check demo bench image

help: ## say what there is to do
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(STAMP) ## make .venv with all that is needed; install Debian packages if root

$(STAMP): pyproject.toml .ci/setup
	.ci/setup $(PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

format: setup ## put code into its form
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix-only $(CODE)

lint: setup ## check form and habits
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

types: setup ## check types, strictly
	$(BIN)/mypy

test: test-all ## set up and run every test; ends in pytest's summary

test-unit: setup ## tests that take milliseconds
	$(PYTEST) tests/unit -n 2

test-integration: setup ## tests with real engines and real recipes
	$(PYTEST) tests/integration

test-e2e: test-night test-modes ## tests of the installed command, raw frames to report

test-night: setup ## those that share a reduced night
	$(PYTEST) tests/end_to_end --ignore=tests/end_to_end/test_modes.py

test-modes: setup ## those of other instrument modes
	$(PYTEST) tests/end_to_end/test_modes.py

# SEED=7 SAMPLE=all: other faults, and all of them; see docs/faults.md.
faults: setup ## break things: kill, fill the disk, damage, eight at once
	CLIO_FAULTS_SEED="$(or $(SEED),1)" CLIO_FAULTS_SAMPLE="$(or $(SAMPLE),1)" $(PYTEST) tests/faults -n 2 --dist worksteal

# Many of the rest wait for one recipe: two parts run beside each other, the longest first, and each is told when it
# has ended.
test-all: test-unit faults ## unit tests, faults, then the rest
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target test-night test-integration test-modes

docs-check: setup ## run the commands in the README and compare what they print
	$(BIN)/python tests/docs_check.py README.md

check: lint types docs-check test ## what has to be green before a change goes in

demo: setup ## a synthetic night, reduced in demo/
	mkdir -p demo
	$(BIN)/clio demo demo

bench: setup image ## measure engines, hits and bookkeeping, beside make, ninja, doit, Snakemake, DVC, redun
	$(BIN)/python benchmarks/engine_calls.py
	if test -d demo; then $(BIN)/python benchmarks/known_night.py demo; fi
	$(BIN)/python benchmarks/events.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/verdicts.py

image: setup ## build the recipe image
	$(BIN)/clio image build

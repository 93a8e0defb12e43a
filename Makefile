# Everything here makes its own .venv from nothing but Python, pip and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet -c constraints.txt
SOURCES := pyproject.toml constraints.txt
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test lint types docs bench clean
help: ## what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-6s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.runtime: $(SOURCES) | $(BIN)/python
	$(PIP) -e '.[plot]'
	@touch $@

.venv/.dev: .venv/.runtime
	$(PIP) -e '.[dev]'
	@touch $@

.venv/.docs: .venv/.runtime
	$(PIP) -e '.[docs]'
	@touch $@

.venv/.bench: .venv/.runtime
	$(PIP) -e '.[plot,bench]'
	@touch $@

demo: .venv/.runtime ## explain the shipped model; an HTML page and a picture land in demo_output/
	$(BIN)/python examples/demo.py

test: lint types ## lint, types and tests, warnings as errors, shapes checked
	$(BIN)/python -m pytest -q -n 2

lint: .venv/.dev ## ruff, rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: .venv/.docs ## the site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/.bench ## the benchmark tables
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/responses.py

clean: ## remove what was made
	rm -rf .venv site demo_output .pytest_cache .ruff_cache

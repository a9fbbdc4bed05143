# vantage-secrets: every job of a developer and of a reader. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_DIR ?= demo
ENV_FILE ?=
REPOS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-full test check format bench bench-leaks crash-matrix docs lock clean

help: ## List the jobs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

$(BIN)/python:
	@tools/make-venv "$(PYTHON)" "$(VENV)"

$(VENV)/runtime.stamp: requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "==> Installing vantage-secrets into $(VENV) (locked, with hashes)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/runtime.stamp
	@echo "==> Installing the tools for tests, checks, docs and benchmarks (locked, with hashes)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/dev.stamp ## Install everything into .venv

demo: $(VENV)/runtime.stamp ## The main job on a .env of its own, or on yours with ENV_FILE=path; then a small platform
	@$(BIN)/vantage-secrets demo --directory "$(DEMO_DIR)" $(if $(ENV_FILE),--env-file "$(ENV_FILE)")
	@echo && echo "==> A small platform: collector, worker and query API, whose keys rotate under load"
	@$(BIN)/python examples/platform/demo.py --directory "$(DEMO_DIR)/platform"

demo-full: $(VENV)/dev.stamp ## The small platform on a real Kafka and ClickHouse; all five secrets rotate, twice
	@tools/install-test-servers >/dev/null
	@PYTHONPATH=. $(BIN)/python examples/platform/demo.py --full --directory "$(DEMO_DIR)/platform-full"

test: $(VENV)/dev.stamp ## Run all tests
	@tools/run-tests

check: $(VENV)/dev.stamp ## Format, lint, types, import rule, generated files, docs
	@tools/run-checks

format: $(VENV)/dev.stamp ## Put the code into its form
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(VENV)/dev.stamp ## Measure every bar beside its peer; the table goes to docs/reference/benchmarks.md
	@$(BIN)/python -m benchmarks --output docs/reference/benchmarks.md

bench-leaks: $(VENV)/dev.stamp ## Measure leak detection beside other scanners, on REPOS="/path/a /path/b" or one it makes
	@peers=$$(tools/install-leak-peers) && $(BIN)/python -m benchmarks.leaks --peers "$$peers" \
		--output docs/reference/leak-benchmarks.md $(REPOS)

crash-matrix: $(VENV)/dev.stamp ## Kill rotations at every call, on real servers; the table goes to docs/reference/crash-matrix.md
	@tools/install-test-servers >/dev/null && $(BIN)/python -m tests.crash_matrix

docs: $(VENV)/dev.stamp ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict && echo "Documentation: site/index.html"

lock: $(VENV)/dev.stamp ## Resolve the dependencies anew and write the lock files
	@tools/lock "$(BIN)"

clean: ## Remove what the jobs above made, but no demo folder
	@rm -rf $(VENV) dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

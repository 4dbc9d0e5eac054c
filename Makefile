# `make help` lists what can be made. Everything lands in this folder: .venv, demo/lake, demo/out.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Some images switch bytecode off; every Airflow process would then compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint constraints schema clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/.complete ## Make .venv with the profilemill command and everything the tests need

.venv/.complete: pyproject.toml constraints.txt hatch_build.py $(wildcard etl/engines/*.c etl/engines/*.h)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Profilemill needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "installing Airflow and Profilemill into .venv (about 300 MB the first time) ..."
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -c constraints.txt -e '.[airflow,test]'
	@touch $@

demo: setup ## Import a sandbox Amplitude through Airflow and show the profiles
	@$(BIN)/python -m amplitude_airflow.launcher demo

up: setup ## Start Airflow's UI on 127.0.0.1 with the sandbox behind it; Ctrl-C stops all
	@$(BIN)/python -m amplitude_airflow.launcher up

test: setup ## Run all checks and tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@test -n "$$PROFILEMILL_TEST_POSTGRES_URL" || tests/services/postgres.sh install || test -z "$$CI"
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: setup ## Format and check the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/mypy

constraints: setup ## Resolve the pinned versions anew
	@$(BIN)/uv pip compile pyproject.toml --extra airflow --extra test --universal --python-version 3.11 --upgrade \
	  -o constraints.txt --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet

schema: setup ## Write the JSON Schema of jobs.yaml for editors
	@$(BIN)/profilemill schema > docs/jobs.schema.json

clean: ## Remove what the demo and `make up` made
	@rm -rf demo/lake demo/out .airflow

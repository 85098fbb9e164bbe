# Every target does its own set-up: Python 3.11, make and the package registries are all it needs.
# The first run of a target that needs a Kubernetes builds one from source (once per user, minutes); see docs/how-to/local-cluster.md.

PYTHON ?= $(firstword $(shell command -v python3.11) $(shell command -v python3))
BIN := .venv/bin
PYTEST_ARGS ?= tests

.DEFAULT_GOAL := help
.PHONY: help run test test-sdk lint fix lock schemas migration cluster cluster-down torture bench-plan bench-outbox bench-api bench-sdk clean environment programs

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

run: environment ## the story on a local Kubernetes: plan, apply, drift, repair, deliveries, the API
	@$(BIN)/python -m dev.story

test: lint programs ## lint, then all tests but the long fault suites, the SDK's last
	@echo "== tests"
	@$(BIN)/pytest -n auto --dist loadfile -m "not torture" $(PYTEST_ARGS)
	@$(MAKE) --no-print-directory test-sdk

test-sdk: environment ## the SDK's tests on every Python that is here, and what each version reads of the others
	@echo "== the SDK"
	@$(BIN)/nox -f sdk/noxfile.py

lint: environment ## formatting, style, types, import layers
	@echo "== ruff format" && $(BIN)/ruff format --check --quiet
	@echo "== ruff check" && $(BIN)/ruff check --quiet
	@echo "== mypy" && $(BIN)/mypy && cd sdk && ../$(BIN)/mypy
	@echo "== import layers" && $(BIN)/lint-imports

fix: environment ## format, and mend what ruff can mend
	@$(BIN)/ruff check --fix --quiet; $(BIN)/ruff format

lock: environment ## renew requirements.lock from pyproject.toml; UPGRADE=1 for the newest of everything
	@UPGRADE="$(UPGRADE)" $(BIN)/python -m dev.lock

schemas: environment ## renew the JSON schemas of events in docs/events, and the API's document
	@$(BIN)/python -m dev.schemas

migration: environment ## draft the next one from the models: make migration m="what it adds"
	@$(BIN)/python -m dev.migration "$(m)"

cluster: environment ## leave a local Kubernetes running
	@$(BIN)/python -m dev.cluster up

cluster-down: environment ## end it
	@$(BIN)/python -m dev.cluster down

torture: environment programs ## the fault suites at full size, with a printed seed
	@$(BIN)/pytest -m torture -s $(PYTEST_ARGS)
	@$(BIN)/nox -f sdk/noxfile.py -s torture

bench-plan: environment ## planner and command line, against their goals
	@$(BIN)/python -m benchmarks.plan

bench-outbox: environment ## the outbox beside Celery and Procrastinate, against its goals
	@$(BIN)/python -m benchmarks.outbox

bench-api: environment ## the API beside a bare Falcon handler and FastAPI, with the same SQL
	@$(BIN)/python -m benchmarks.api

bench-sdk: environment ## the SDK beside the original's way, raw files, numpy, Arrow and plain pickle
	@$(BIN)/python -m benchmarks.sdk

clean: ## remove what was made here; builds in the user's cache stay
	@test ! -x $(BIN)/python || $(BIN)/python -m dev.cluster down
	rm -rf .venv .tools .cluster .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info sdk/src/*.egg-info

environment:
	@$(PYTHON) -m dev.bootstrap

programs: environment
	@$(BIN)/python -m dev.cluster build

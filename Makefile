# Argosy. `make demo` runs the main job, `make test` passes the tests; both install what they need.
.DEFAULT_GOAL := help
.PHONY: help venv lint test test-fast manifests lock
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
RUNTIME_LOCK := requirements-runtime.lock
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header

help: ## show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

venv: $(VENV)/.ready ## install Python packages and the Go toolchain, from the lock file

$(VENV)/.ready: $(LOCK) pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r $(LOCK)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

lint: venv ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## everything: unit, contract and fault tests, and end to end on real clusters
	$(BIN)/pytest

test-fast: venv ## unit tests only
	$(BIN)/pytest tests/unit

manifests: venv ## make deploy/ anew from the code
	$(BIN)/python -m argosy.api.crd deploy/crds

lock: ## pin all Python packages anew
	$(COMPILE) --all-extras --group dev pyproject.toml -o $(LOCK)
	$(COMPILE) --constraints $(LOCK) pyproject.toml -o $(RUNTIME_LOCK)

# `make run` and `make test` set up everything they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEV_OPTIONS ?=
TEST_OPTIONS ?= --numprocesses 6 --dist worksteal
CHAOS_SEEDS ?= 20
BENCH_OPTIONS ?=
FUZZ_EXAMPLES ?= 500

# Without its bytecode files, every process of the service and of the tests compiles its modules anew: a second of CPU each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test chaos fuzz lint fmt bench lock clean check-python
.DEFAULT_GOAL := help

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready  ## build .venv with pinned, hash-checked dependencies (a second call is quick)

run: setup  ## start the service on 127.0.0.1:8000, with an embedded Valkey and an inbox instead of a gateway
	@exec $(BIN)/otp-service dev $(DEV_OPTIONS)

test: .venv/.ready-test  ## run the whole test suite against a real Valkey server
	@$(BIN)/python -m pytest $(TEST_OPTIONS)

chaos: .venv/.ready-test  ## kill the service while its gateways are slow, down or give wrong answers: CHAOS_SEEDS times (20)
	@CHAOS_SEEDS=$(CHAOS_SEEDS) $(BIN)/python -m tests.chaos

fuzz: .venv/.ready-test  ## schemathesis over both OpenAPI documents, all checks: FUZZ_EXAMPLES for each operation (500)
	@$(BIN)/python -m tests.fuzz --examples $(FUZZ_EXAMPLES)

lint: .venv/.ready-test  ## ruff, mypy --strict, the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: .venv/.ready-test  ## format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: .venv/.ready-test  ## measure the service as a user runs it (13 minutes; BENCH_OPTIONS=--help)
	@$(BIN)/python -m tests.bench $(BENCH_OPTIONS)

lock:  ## resolve the dependencies anew (needs uv)
	@uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  pyproject.toml --extra embedded --group build -o requirements.lock
	@uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  pyproject.toml --extra embedded --extra smpp --group build -c requirements.lock -o requirements-smpp.lock
	@uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  pyproject.toml --extra embedded --extra smpp --group build --group test --group lint -c requirements.lock -o requirements-dev.lock

clean:  ## remove what the other targets made
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

check-python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed (Debian: apt install python3)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $(PYTHON) is older than 3.11; name a newer one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "make: $(PYTHON) cannot make a virtual environment (Debian: apt install python3-venv)" >&2; exit 1; }

# The project is installed as editable by a backend that the lock pins too, so nothing is fetched unchecked.
.venv/.ready: requirements.lock pyproject.toml | check-python
	@echo "setting up .venv (the first time takes a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP_INSTALL) --require-hashes -r requirements.lock
	@$(PIP_INSTALL) --no-deps --no-index --no-build-isolation -e .
	@touch $@

.venv/.ready-test: requirements-dev.lock .venv/.ready
	@echo "setting up the test tools"
	@$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || true  # compiles the tests once, not in each process
	@touch $@

# The front door: `make` prints what it can do. A machine with Python 3.11+ and make is enough; uv is used where present.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
TESTS  := --ignore=tests/system --numprocesses=2 --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help check lint types arch test test-system coverage demo bench docs-tables format lock wheel clean \
	bench-store bench-outages proof-chain proof-crash proof-properties proof-cuts proof-mutants proof-streams proof-w3c

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

check: lint types arch test ## everything a change must pass

lint: $(VENV)/.dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy and pyright, both strict
	$(BIN)/mypy
	$(BIN)/pyright

arch: $(VENV)/.test ## import contracts, public surface, import cost, shape of the modules
	$(PYTEST) tests/architecture

test: $(VENV)/.test ## every test but those of tests/system
	$(PYTEST) $(TESTS)

test-system: $(VENV)/.test ## install Debian's chromium and node, then run tests/system
	tools/install-system-packages
	$(PYTEST) tests/system

coverage: $(VENV)/.test ## the tests again, with branch coverage
	$(PYTEST) $(TESTS) --cov --cov-report=term-missing

demo: $(VENV)/.test ## two services, bare and with tracegate; the events that were kept; a locked deploy gate
	$(BIN)/python -m examples.demo

bench: $(VENV)/.dev ## cost per request and per event beside the peers
	$(BIN)/python -m benchmarks

bench-store: $(VENV)/.dev ## events per second beside the bare drivers; how much later a refusal is answered
	$(BIN)/python -m benchmarks.store --write docs

bench-outages: $(VENV)/.test ## good requests, gate and accounts while the store or the disk is away
	$(BIN)/python -m tests.integration.store_outage --write docs/reliability.md

docs-tables: $(VENV)/.dev ## write the tables of docs/: every case on every server, and the costs
	$(BIN)/python -m tests.integration.matrix --write docs/matrix.md
	$(BIN)/python -m benchmarks --write docs

proof-properties: $(VENV)/.dev ## 20,000 generated examples of every law
	$(BIN)/python tools/proof.py properties

proof-cuts: $(VENV)/.dev ## every public body and stream, cut at every byte
	$(BIN)/python tools/proof.py cuts

proof-mutants: $(VENV)/.dev ## faults planted in the core, one by one: the tests must notice
	$(BIN)/python tools/proof.py mutants

proof-streams: $(VENV)/.test ## 10,000 aborted streams; 1,000 requests on one connection
	$(BIN)/python -m tests.integration.streams --write docs/proof/streams.md

proof-chain: $(VENV)/.test ## a million audit rows: verified in constant memory, killed, resumed, one row changed and found
	$(BIN)/python -m tests.integration.audit_chain --write docs/proof/chain.md

proof-crash: $(VENV)/.test ## kill -9 in a storm of refusals, 20 times for each store: nothing lost, nothing twice
	$(BIN)/python -m tests.integration.store_crash --write docs/proof/crash.md

proof-w3c: $(VENV)/.dev ## the W3C trace-context suite: make proof-w3c SUITE=path-of-its-working-tree
	$(BIN)/python tools/w3c_suite.py $(SUITE) --write docs/proof/w3c.md

format: $(VENV)/.dev ## let ruff write the format, sort imports, and drop idle noqa comments
	$(BIN)/ruff check --quiet --fix-only --select I,RUF022,RUF100 .
	$(BIN)/ruff format .

lock: $(VENV)/.dev ## pin requirements/*.txt anew from pyproject.toml (UPGRADE=--upgrade: newest versions)
	$(BIN)/python tools/lock.py $(UPGRADE)

wheel: $(VENV)/.dev ## build dist/*.whl and dist/*.tar.gz
	$(BIN)/python -m build --no-isolation

clean: ## remove what the other targets made
	rm -rf $(VENV) .nox .coverage* .hypothesis .*_cache build dist htmlcov mutants

# The virtual environment: pinned packages first, then the project itself, editable. pip where uv fails or is not there.
define install
(command -v uv >/dev/null && uv pip install --quiet --python $(BIN)/python $(1)) \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1)
endef

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tracegate needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.test: requirements/test.txt pyproject.toml | $(BIN)/python
	$(call install,--no-deps -r requirements/test.txt)
	$(call install,--no-deps --no-build-isolation --editable .)
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.test
	$(call install,--no-deps -r requirements/dev.txt)
	touch $@

# Yardmaster. "make" alone tells what there is.
# Needs python3 (3.11 or newer) and a package index that pip knows; everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help demo test check bench schema constraints install clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         watch a depot charge: simulated stations, CSMS, meters and a page at http://127.0.0.1:8080/"
	@echo "                  ARGS are handed on, e.g. make demo ARGS='--port 8081'; ARGS=--help shows them"
	@echo "make test         run all tests (installs mosquitto and chromium if it may)"
	@echo "make check        style, types, import contracts, schema, links"
	@echo "make bench        measure: guard latency with and without the solver"
	@echo "make schema       write config/site.schema.json again after a change of controller/config.py"
	@echo "make constraints  write constraints.txt again from $(VENV)"
	@echo "make install      put the yardmaster command with everything it needs into $(VENV)"
	@echo "make clean        remove what was made here: $(VENV), caches, demo data"

# In a terminal the demo gets a process group of its own, so that Ctrl-C reaches it and not make, which
# would end with an error although the demo ended well.
demo: .venv-demo
	@if [ -t 0 ] && command -v bash >/dev/null; then \
	    exec bash -mc '"$$0" "$$@"; exit $$?' $(BIN)/yardmaster demo $(ARGS); \
	else \
	    exec $(BIN)/yardmaster demo $(ARGS); \
	fi

test: .venv-dev
	@deploy/install-test-tools.sh
	@exec $(BIN)/python -m pytest $(ARGS)

check: .venv-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.check_project

bench: .venv-dev
	$(BIN)/python tests/bench/bench_guard.py $(ARGS)
	$(BIN)/python tests/bench/bench_guard.py --without-solver $(ARGS)

schema: .venv-dev
	$(BIN)/yardmaster schema > config/site.schema.json

constraints: .venv-dev
	$(BIN)/python -m deploy.pin > constraints.new
	mv constraints.new constraints.txt

install: .venv-demo

.PHONY: .venv-demo .venv-dev
.venv-demo:
	@PYTHON="$(PYTHON)" deploy/venv.sh $(VENV) demo

.venv-dev:
	@PYTHON="$(PYTHON)" deploy/venv.sh $(VENV) demo,dev

clean:
	rm -rf $(VENV) build dist demo-data *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

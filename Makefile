# Every target works as the first command in a fresh clone: it needs Python 3.11 or newer and nothing else.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
EXTRAS ?= dev
BIN := $(VENV)/bin
# The TOSA reference model. It pins old releases of packages that its test generators need, the model itself none.
TOSA_TOOLS := tosa-tools>=2026.8,<2027
# One stamp for each choice of extras, so that asking for more installs more.
STAMP := $(VENV)/.installed-$(EXTRAS)

.DEFAULT_GOAL := help
.PHONY: help demo test test-full check lit format docs clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@case ',$(EXTRAS),' in *,oracle,*) $(BIN)/python -m pip install --quiet --no-deps '$(TOSA_TOOLS)';; esac
	@touch $@

demo: $(STAMP)  ## Compile two trained networks, run them on the simulator, print accuracy and cycles.
	$(BIN)/python -m intaglio.tools.demo

test: check lit  ## Check, and run the tests under lit and pytest. This is what CI runs.
	$(BIN)/python -m pytest -q -n $(JOBS) -m "not slow"

test-full: check lit  ## As test, with the slow tests and the oracles: LLVM's tools, TOSA's and LiteRT (700 MB).
	$(BIN)/python -m pip install --quiet --editable '.[dev,oracle]'
	$(BIN)/python -m pip install --quiet --no-deps '$(TOSA_TOOLS)'
	$(BIN)/python -m pytest -q -n $(JOBS)

check: $(STAMP)  ## Lint, formatting and types.
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/pyright --pythonpath $(BIN)/python

lit: $(STAMP)  ## The FileCheck tests as lit runs them, one process per command.
	$(BIN)/lit -q -j $(JOBS) filecheck

format: $(STAMP)  ## Format the sources and repair what lint can.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(STAMP)  ## Regenerate the generated pages of docs/ and the stub of the onnx dialect.
	$(BIN)/python -m intaglio.tools.docs
	$(BIN)/python -m intaglio.tools.stubs

clean:  ## Remove the environment and everything built.
	rm -rf $(VENV) build out .pytest_cache .ruff_cache .hypothesis

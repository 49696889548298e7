# SPDX-License-Identifier: Apache-2.0
# `make` prints the targets. Everything is installed into .venv, once: stamp files there remember what is done.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
DEVICE ?= cpu
# Test processes; each takes about 1 GB. WORKERS=0 runs in one process, for a debugger.
WORKERS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
CODE := simenv tasks agents assets scripts
# Compiled kernels are kept, so that they are compiled once.
export WARP_CACHE_PATH ?= $(CURDIR)/build/warp-cache

.PHONY: help demo test test-all mutants lint format bench verify docs build clean

help:  ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

# ---- environment ---------------------------------------------------------------------------------------------------

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "simenv needs Python 3.11 or later, this is %d.%d; use make PYTHON=python3.11" % sys.version_info[:2])'
	@echo "==> creating $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# torch comes first and pinned: left to the resolver, a newer one brings gigabytes of CUDA libraries.
$(VENV)/.torch: $(VENV)/.created
	@echo "==> installing $(TORCH) (once; a minute or more)"
	@$(PIP) install $(TORCH)
	@touch $@

$(VENV)/.runtime: $(VENV)/.torch pyproject.toml constraints.txt
	@echo "==> installing simenv and what it needs (once)"
	@$(PIP) uninstall -y simenv && rm -rf simenv.egg-info  # the distribution's old name: two would clash
	@$(PIP) install -c constraints.txt -e '.[search]'
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "==> installing the development tools (once)"
	@$(PIP) install -c constraints.txt -e '.[search,dev]'
	@touch $@

# ---- use -----------------------------------------------------------------------------------------------------------

demo: $(VENV)/.runtime  ## install simenv, then optimise a pour through the simulation: video and plots in runs/demo
	@$(BIN)/simenv demo $(ARGS)

bench: $(VENV)/.runtime  ## measure speed; DEVICE=cpu|cuda
	@$(BIN)/simenv bench --device $(DEVICE) $(ARGS)

verify: $(VENV)/.dev  ## compare the physics with closed forms and experiments, write docs/verification_cases.md; gradients
	@$(BIN)/python -m tests.verification.report
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/verification tests/gradients $(ARGS)

# ---- development ---------------------------------------------------------------------------------------------------

test: $(VENV)/.dev  ## run the tests, slow ones apart
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" --durations=15 $(ARGS)

test-all: $(VENV)/.dev  ## run all tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --durations=15 $(ARGS)

mutants: $(VENV)/.dev  ## make small wrong changes in a copy of the code, one at a time: do the tests see them? (an hour)
	@$(BIN)/python -m tests.mutants.run --jobs $(WORKERS) $(ARGS)

# mypy cannot follow the folder mapping of pyproject.toml, so it is shown a copy of the package as it is installed; without
# the files that hold Warp kernels, a language of its own inside Python's syntax: a stub that says "anything" stands for each.
build/typing: FORCE
	@rm -rf $@ && mkdir -p $@ && cp -rp simenv benchmarks $@/ && cp -rp tasks agents assets scripts $@/simenv/
	@for file in $$(grep -rlE --include='*.py' '^ *@wp\.(kernel|func|struct)' $@); do \
	  echo 'def __getattr__(name: str): ...' > $${file}i; rm $$file; done

.PHONY: FORCE
FORCE:

lint: $(VENV)/.dev build/typing  ## check style, types and spelling
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --check .; exit 1; }
	@cd build/typing && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache --no-error-summary -p simenv -p benchmarks
	@$(BIN)/codespell
	@echo "lint: style, types and spelling are fine"

format:  ## rewrite the code in the project's style
	@$(BIN)/ruff check --quiet --fix --exit-zero . && $(BIN)/ruff format .

docs: $(VENV)/.dev  ## build the documentation into site/
	@$(BIN)/python docs/_gen/generate.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "docs: open site/index.html"

build: $(VENV)/.dev  ## build wheel and sdist, and try each in an empty environment
	@rm -rf dist build/smoke && mkdir -p build
	@echo "==> building wheel and sdist"
	@$(BIN)/python -m build --outdir dist . > build/build.log 2>&1 || { tail -30 build/build.log; exit 1; }
	@for file in dist/*.whl dist/*.tar.gz; do \
	  echo "==> trying $$file in an empty environment"; \
	  rm -rf build/smoke && $(PYTHON) -m venv build/smoke; \
	  build/smoke/bin/python -m pip --disable-pip-version-check -qq install $(TORCH); \
	  build/smoke/bin/python -m pip --disable-pip-version-check -qq install -c constraints.txt "$$file"; \
	  cp tests/smoke_test.py build/smoke/; \
	  (cd build/smoke && bin/python -I smoke_test.py); \
	done
	@rm -rf build/smoke
	@ls -l dist | awk 'NR > 1 {printf "build: dist/%s (%.0f kB)\n", $$NF, $$5 / 1024}'

clean:  ## remove everything that was built, the environment included
	@rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache
	@find $(CODE) benchmarks tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

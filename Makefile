# SPDX-License-Identifier: ZPL-2.1
# Needs make and Python 3.11 or newer; no root, no server. `make` alone lists what there is.

VENV ?= .venv
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,\
	$(shell $(name) -c 'import sys; print("$(name)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
ARGS ?=
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test long matrix lint types docs pictures bench bench-workers clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  PYTHON=... chooses the Python of a new $(VENV); ARGS=... is passed on, as in make test ARGS="-k cron"'

demo: $(VENV)/.installed ## install into .venv if need be, then run jobs and verify every one
	@$(VENV)/bin/p01-remote demo $(ARGS)

test: $(VENV)/.tested ## run all tests
	@$(VENV)/bin/python -m pytest $(ARGS)

long: $(VENV)/.tested ## every kill point, 200 kills of worker trees, 50 outages, torture, 100,000 odd requests: about 30 minutes
	@P01_LONG=1 $(VENV)/bin/python -m pytest tests/long -o faulthandler_timeout=1400 $(ARGS)

matrix: $(VENV)/.tested ## the oldest and newest libraries on each Python that is here; ARGS=--quick takes two of them
	@$(VENV)/bin/python tests/matrix.py $(ARGS)

lint: $(VENV)/.tested ## check style and imports with ruff
	@$(VENV)/bin/ruff check $(ARGS) .

types: $(VENV)/.tested ## check types with mypy
	@$(VENV)/bin/mypy $(ARGS)

docs: $(VENV)/.documented ## run the examples of docs/, and build its pages and the man page in build/docs
	@$(VENV)/bin/python -m sphinx -W -q -E -b doctest -d build/doctrees docs build/doctest
	@$(VENV)/bin/python -m sphinx -W -q -a -b html -d build/doctrees docs build/docs $(ARGS)
	@$(VENV)/bin/python -m sphinx -W -q -b man -d build/doctrees docs build/docs/man
	@echo 'build/docs/index.html, and build/docs/man/p01-remote.1'

pictures: $(VENV)/.tested ## write docs/pictures, of the dashboard, by /usr/bin/chromium
	@$(VENV)/bin/python -m tests.web.pictures $(ARGS)

bench: $(VENV)/.tested ## measure, and print the figures
	@$(VENV)/bin/python bench/run.py $(ARGS)

bench-workers: $(VENV)/.tested ## measure workers of every kind, and draw docs/pictures/workers.svg
	@$(VENV)/bin/python -c 'import matplotlib' 2>/dev/null || $(PIP) matplotlib
	@mkdir -p docs/pictures
	@$(VENV)/bin/python bench/workers.py --picture docs/pictures/workers.svg $(ARGS)

clean: ## remove .venv and all that tools have left
	@rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis demo-db
	@find src tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Stamps: made again only when pyproject.toml has changed.

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo 'No Python 3.11 or newer was found; install one, or name it: make PYTHON=/path/to/python3' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo '$(PYTHON) does not run, or is older than 3.11; name another: make PYTHON=/path/to/python3' >&2; exit 1; }
	@echo 'Making $(VENV) with $(PYTHON) ...'
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo 'Installing p01.remote into $(VENV) ...'
	@$(PIP) -e .
	@touch $@

$(VENV)/.tested: pyproject.toml | $(VENV)/bin/python
	@echo 'Installing p01.remote and what its tests need into $(VENV) ...'
	@$(PIP) -e '.[test]'
	@touch $(VENV)/.installed $@

$(VENV)/.documented: pyproject.toml | $(VENV)/bin/python
	@echo 'Installing p01.remote and what its pages need into $(VENV) ...'
	@$(PIP) -e '.[test,docs]'
	@touch $(VENV)/.installed $(VENV)/.tested $@

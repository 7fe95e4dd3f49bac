# Everything that CI runs, by the same names.
#
#   make run     set up and start the demo (Ctrl-C stops it)
#   make test    set up and run the tests
#   make check   tests, lint, types, layers, docs, news, the built wheel
#   make bench   speed, each peer beside us
#   make clean   remove what the targets made

VENV   ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
BIN    := $(VENV)/bin
TRIAL  ?= $(BIN)/python -m twisted.trial
TESTS  ?= tests
UNIT   := $(shell ls -d tests/*/ tests/test_*.py 2>/dev/null | grep -v -e integration -e parity -e __pycache__ | \
	sed -e 's,/$$,,' -e 's,\.py$$,,' -e 's,/,.,g')

.PHONY: run test unit check lint types layers docs news wheel bench conformance coverage format clean

run: $(VENV)/.run
	@exec $(BIN)/tbtwist start --demo

test: $(VENV)/.test
	$(TRIAL) $(TESTS)

# The tests that start no processes, on a reactor of choice: make unit REACTOR=uvloop
REACTOR ?= default
unit: $(VENV)/.test
	$(TRIAL) --reactor=$(REACTOR) $(UNIT)

check: lint types layers docs news wheel test

lint: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.check
	$(BIN)/mypy

layers: $(VENV)/.check
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/.check
	$(BIN)/pydoctor --config=pyproject.toml

news: $(VENV)/.check
	$(BIN)/towncrier build --draft --version next > /dev/null

# Build the wheel, look into it, install it elsewhere, and boot each role from it.
wheel: $(VENV)/.check
	rm -rf dist
	$(BIN)/python -m build --outdir dist . > /dev/null
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/python .ci/wheel_boots.py dist/*.whl

coverage: $(VENV)/.test
	rm -f .coverage*
	$(BIN)/python -m coverage run -m twisted.trial $(TESTS)
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

format: $(VENV)/.check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The Autobahn TestSuite; CONTRIBUTING.md tells how to get it.
conformance: $(VENV)/.test
	$(BIN)/python -m benchmarks.conformance --all

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "tbtwist needs Python 3.11 or newer with venv; set PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: EXTRAS = .
$(VENV)/.test: EXTRAS = .[test]
$(VENV)/.check: EXTRAS = .[test,check]
$(VENV)/.bench: EXTRAS = .[test,bench]
$(VENV)/.run $(VENV)/.test $(VENV)/.check $(VENV)/.bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(EXTRAS)'
	@touch $@

clean:
	rm -rf $(VENV) dist build docs/_build _trial_temp* .coverage* htmlcov .mypy_cache .ruff_cache \
		.import_linter_cache .pytest_cache .hypothesis twisted/plugins/dropin.cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
OLDEST_PYTHON ?= python3.10
OLDEST_VENV ?= .venv-oldest
PIP_ARGS ?=
BIN := $(VENV)/bin
OLDEST := $(OLDEST_VENV)/bin/python
JOBS ?= 2

.PHONY: run test coverage test-all test-oldest drill mutants lint bench versions docs tune clean help

help:
	@echo "make run       set up, run all methods on all datasets, write the reports"
	@echo "make test      set up, lint, type-check, run the tests"
	@echo "make coverage  the tests again, with the share of lines that they run"
	@echo "make test-all  the same with the long tests"
	@echo "make test-oldest  the tests with the oldest supported versions, on Python 3.10"
	@echo "make drill     break workers and runs in every way, and see that only that is lost"
	@echo "make mutants   change the code at random, and count the changes that the tests notice"
	@echo "make lint      ruff and mypy"
	@echo "make bench     speed and memory benchmarks"
	@echo "make versions  confirm the versions of the code, or raise them where numbers moved"
	@echo "make tune      make the trials of the quick profile again and take over what is best (hours)"
	@echo "make docs      the pages of docs/ as a site in build/site"
	@echo "make clean     remove what was built (records and reports stay)"

$(VENV)/.run-ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e .
	touch $@

$(VENV)/.dev-ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.run-ready

$(VENV)/.slow-oracles-ready: $(VENV)/.dev-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[slow-oracles]'
	touch $@

run: $(VENV)/.run-ready
	$(BIN)/python -m bench run --methods all --datasets all
	$(BIN)/python -m bench report
	@echo "Open reports/index.html (tables also in reports/tables.md); records: results/runs"

lint: $(VENV)/.dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# The annotations follow the NumPy and SciPy that need Python 3.11; Python 3.10 gets older ones.
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then MYPY_NUM_WORKERS=$(JOBS) $(BIN)/mypy; fi

test: lint
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

coverage: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal --cov --cov-report=term --cov-fail-under=95

test-all: lint $(VENV)/.slow-oracles-ready
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m "slow or not slow"

$(OLDEST_VENV)/.ready: pyproject.toml constraints-oldest.txt
	test -x $(OLDEST) || $(OLDEST_PYTHON) -m venv $(OLDEST_VENV)
	$(OLDEST) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints-oldest.txt -e '.[docs,slow-oracles,tests]'
	touch $@

test-oldest: $(OLDEST_VENV)/.ready
	$(OLDEST) -m pytest -q -n $(JOBS) --dist worksteal
	$(OLDEST) -m pytest -q -n $(JOBS) -m "slow or not slow" tests/analysis/test_other_statistics.py
	$(OLDEST) -m mkdocs build --strict --quiet --site-dir build/site-oldest

drill: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -q tests/drill -m "drill or not drill"

mutants: $(VENV)/.dev-ready
	$(BIN)/python -m tests.mutants

bench: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -q tests/benchmarks -m "slow or not slow" --benchmark-only --benchmark-columns=min,median,max,rounds

# make versions RAISE="drcl training" raises these in any case.
versions: $(VENV)/.dev-ready
	$(BIN)/python -m tests.versions $(addprefix --raise ,$(RAISE))

docs: $(VENV)/.run-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

# Trials that are there are not made again: remove build/tuning to begin anew.
tune: $(VENV)/.dev-ready
	$(BIN)/python -m bench tune --methods all,extras --datasets emoji,inria_websearch --trials 12 --seeds 2 --jobs $(JOBS) \
		--data build/tuning/no-data --results build/tuning --table build/tuning/quick_trials.csv
	$(BIN)/python -m tests.methods.take_trials build/tuning/quick_trials.csv

clean:
	rm -rf $(VENV) $(OLDEST_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

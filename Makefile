# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
OLDEST_PYTHON ?= python3.10
OLDEST_VENV ?= .venv-oldest
WHEEL_VENV ?= .venv-wheel
PIP_ARGS ?=
BIN := $(VENV)/bin
OLDEST := $(OLDEST_VENV)/bin/python
JOBS ?= 2
# Each process collects all tests: one more than the cores takes longer, although some tests wait.
TEST_JOBS ?= $(JOBS)
DATA ?= data

# Without compiled files every process that a run or a test starts would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test coverage test-browser test-all test-oldest test-wheel drill mutants lint bench gpu versions docs tune study clean help

help:
	@echo "make run       set up, run all methods on all datasets, write the reports"
	@echo "make test      set up, lint, type-check, run the tests"
	@echo "make coverage  run the tests, and print the share of lines that they run"
	@echo "make test-browser  the page of the report in a Chromium"
	@echo "make test-all  the same as make test, with the long tests"
	@echo "make test-oldest  the tests with the oldest supported versions, on Python 3.10"
	@echo "make test-wheel   the tests with an installed wheel, without the sources of the clone"
	@echo "make drill     break workers and runs on purpose, and check the records"
	@echo "make mutants   change the code at random, and count the changes that the tests notice"
	@echo "make lint      ruff and mypy"
	@echo "make bench     speed and memory benchmarks"
	@echo "make gpu       everything that needs a GPU: checks and speed, at most 8 minutes"
	@echo "make versions  confirm the versions of the code, or raise them if numbers moved"
	@echo "make tune      repeat the trials of the quick profile and store the best settings (half an hour)"
	@echo "make study     run the study of conditions, such as wrong labels or no pairs (45 minutes)"
	@echo "make docs      build the site of docs/ in build/site"
	@echo "make clean     remove built files (records and reports stay)"

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
	$(BIN)/python -m pytest -q -n $(TEST_JOBS) --dist worksteal

coverage: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -q -n $(TEST_JOBS) --dist worksteal --cov --cov-report=term --cov-fail-under=95

test-browser: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -q -m browser tests/report/page

test-all: lint $(VENV)/.slow-oracles-ready
	$(BIN)/python -m pytest -q -n $(TEST_JOBS) --dist worksteal --hypothesis-profile=long -m "slow or not slow"

$(OLDEST_VENV)/.ready: pyproject.toml constraints-oldest.txt
	test -x $(OLDEST) || $(OLDEST_PYTHON) -m venv $(OLDEST_VENV)
	$(OLDEST) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints-oldest.txt -e '.[docs,slow-oracles,tests]'
	touch $@

test-oldest: $(OLDEST_VENV)/.ready
	$(OLDEST) -m pytest -q -n $(TEST_JOBS) --dist worksteal
	$(OLDEST) -m pytest -q -n $(TEST_JOBS) -m "slow or not slow" tests/analysis/test_other_statistics.py
	$(OLDEST) -m mkdocs build --strict --quiet --site-dir build/site-oldest

# The wheel is made from the source distribution. The tests run beside the documents, where no package of the
# clone lies; `tests.installed` lets them import methods and datasets under their names in the clone.
test-wheel: $(VENV)/.dev-ready
	rm -rf build/release build/wheel-tests
	$(BIN)/python -m build --outdir build/release .
	test -x $(WHEEL_VENV)/bin/python || $(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt --force-reinstall --no-deps build/release/*.whl
	$(WHEEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt "$$(ls build/release/*.whl)[tests]"
	mkdir -p build/wheel-tests
	cp -R tests docs .github *.md *.txt CITATION.cff LICENSE MANIFEST.in NOTICE pyproject.toml Makefile build/wheel-tests
	cd build/wheel-tests && $(abspath $(WHEEL_VENV))/bin/python -m pytest -q -p tests.installed -n $(TEST_JOBS) --dist worksteal -m "not slow and not drill and not browser and not clone"

drill: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -q tests -m drill

mutants: $(VENV)/.dev-ready
	$(BIN)/python -m tests.mutants

bench: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -q tests/benchmarks -s -m "slow or not slow" --benchmark-columns=min,median,max,rounds

# make gpu ARGS="--only yardstick,epochs --device cuda:1 --out tables.md"
gpu: $(VENV)/.dev-ready
	$(BIN)/python -m tests.gpu $(ARGS)

# make versions RAISE="drcl training" raises these in any case.
versions: $(VENV)/.dev-ready
	$(BIN)/python -m tests.versions $(addprefix --raise ,$(RAISE))

docs: $(VENV)/.run-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

# Trials that are there are not made again: remove build/tuning to begin anew. Look-alikes are of another draw than in runs.
tune: $(VENV)/.dev-ready
	BENCH_LOOK_ALIKE_DRAW=21 $(BIN)/python -m bench tune --methods all,extras --datasets emoji,inria_websearch,wikipedia --trials 12 --seeds 2 --jobs $(JOBS) \
		--data build/tuning/no-data --results build/tuning --table build/tuning/quick_trials.csv
	$(BIN)/python -m tests.methods.take_trials build/tuning/quick_trials.csv

# What is recorded is not run again, so that a study that was stopped goes on. Most is asked of emoji, the quickest
# data. GMLDA, MAN, SDML, MARS and SM ignore pairs: they get changed pairs once, at unpaired@1. Methods of ALL_PAIRS use
# pairs only if all rows have theirs, so that other changes of pairs give the same numbers: they get one of these.
# Three modalities are for methods that take all at once: the others need three fits for them.
# Status 1 means that a cell failed; its record says why, and the others go on.
STUDY := run --profile quick --seeds 3 --jobs $(JOBS) --data $(DATA) --results results/study
PAIRING := drcl,mcca,dccae,acmr,dscmr,mrl,elrcmr,rono
ALL_PAIRS := mvda_vc,drsl,algcn,gnn4cmr
ANY_NUMBER := drcl,mcca,gmlda,mvda_vc,man,sdml,mars,mrl,rono,chance,sm
WIKIPEDIA := $(if $(wildcard $(DATA)/wikipedia_classic/raw_features.mat),wikipedia_classic)
PRIORS := --methods drcl --variants prior_image,prior_text
CORE := unpaired@1,late@last,missing@.5,few-labels@.1
LABEL_NOISE := clean,label-noise@.2/.4/.6/.8
BENCH = $(BIN)/python -m bench
study: $(VENV)/.run-ready
	$(BENCH) $(STUDY) --methods all --datasets emoji --conditions $(LABEL_NOISE),$(CORE) || test $$? -eq 1
	$(BENCH) $(STUDY) $(PRIORS) --datasets emoji --conditions $(LABEL_NOISE) || test $$? -eq 1
ifneq ($(WIKIPEDIA),)
	$(BENCH) $(STUDY) --methods all --datasets $(WIKIPEDIA) --conditions $(LABEL_NOISE),$(CORE) || test $$? -eq 1
	$(BENCH) $(STUDY) $(PRIORS) --datasets $(WIKIPEDIA) --conditions $(LABEL_NOISE) || test $$? -eq 1
endif
	$(BENCH) $(STUDY) --methods $(PAIRING) --datasets emoji --conditions wrong-pairs@.2/.4/.6/.8,unpaired@.5 || test $$? -eq 1
	$(BENCH) $(STUDY) --methods $(ALL_PAIRS) --datasets emoji --conditions wrong-pairs@.2 || test $$? -eq 1
	$(BENCH) $(STUDY) --methods all --datasets emoji --conditions few-labels@.05,long-tail@50,unseen@.2 || test $$? -eq 1
	$(BENCH) $(STUDY) --methods $(ANY_NUMBER) --datasets emoji_views --modalities drawing,japanese,speech \
		--conditions clean,label-noise@.4,$(CORE) || test $$? -eq 1
	$(BENCH) $(STUDY) --methods all --datasets icons --conditions clean,label-noise-multi@.5,$(CORE) || test $$? -eq 1
	$(BENCH) $(STUDY) $(PRIORS) --datasets icons --conditions clean,label-noise-multi@.5 || test $$? -eq 1
	$(BENCH) report --results results/study --reports reports/study $(if $(WIKIPEDIA),--fill docs/study.md)
	for data in emoji $(WIKIPEDIA); do \
		cp reports/study/figures/drops_$${data}_real_*.svg docs/images/study_losses_$$data.svg; \
		cp reports/study/figures/levels_label-noise_$${data}_real_*.svg docs/images/study_label_noise_$$data.svg; done

clean:
	rm -rf $(VENV) $(OLDEST_VENV) $(WHEEL_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

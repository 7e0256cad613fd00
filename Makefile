# Set-up happens by itself: once, and again when pyproject.toml or constraints.txt have changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_TO_LINT := $(VENV)/.ready-to-lint
READY_FOR_DOCS := $(VENV)/.ready-for-docs
# Stands while pip is at work: what it finds of itself was interrupted, and is made anew.
UNFINISHED := $(VENV)/.unfinished
# Editable installs from pyproject.toml need pip 21.3; a new enough one costs no look-up.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo check test coverage test-slow notebooks parity dist fuzz test-lowest release-check lint docs clean

demo: $(READY)
	@$(BIN)/python -m i2md.demo $(DATA)

check: test lint docs

# A process a core, each with one thread; a file's tests stay together, since they share what was made for them. In
# their own order the last files are short, so that no process waits long for another.
test: $(READY)
	@$(BIN)/python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The same tests with line and branch coverage.
coverage: $(READY)
	@$(BIN)/python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --cov=i2md --cov-report=term

test-slow: $(READY)
	@$(BIN)/python -m pytest -m slow

# Exported files beside the package: every layout, encoder, number of persons and preset; half an hour on a free core.
parity: $(READY)
	@$(BIN)/python -m pytest -m slow tests/inference/export

# Wheel and sdist, as they would be published, checked.
dist: $(READY)
	@$(INSTALL) build twine check-wheel-contents
	@rm -rf dist && $(BIN)/python -m build --outdir dist . >/dev/null
	@$(BIN)/python -m twine check --strict dist/*
	@$(BIN)/python -m check_wheel_contents dist/*.whl
	@test $$(stat -c %s dist/*.tar.gz) -lt 3000000 || { echo "the sdist is larger than 3 MB"; exit 1; }

# Every notebook of examples/notebooks, from its first cell to its last.
notebooks: $(READY)
	@$(INSTALL) -c constraints.txt -e ".[notebooks]"
	@$(BIN)/python -m pytest -m slow tests/test_notebooks.py

# 1,000 mutations of valid files of every reader and loader; a finding prints the command that repeats it.
fuzz: $(READY)
	@OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(BIN)/python -m fuzzing $(FUZZ)

# The suite with the lowest allowed version of every dependency, in a virtual environment of its own; by Python 3.10:
# make test-lowest PYTHON=python3.10
test-lowest:
	@$(MAKE) --no-print-directory test VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt

# What a release has to pass: every Python, lowest versions, the wheel in a clean environment, licences, audit.
release-check:
	@bash packaging/release_check.sh

lint: $(READY_TO_LINT)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

# A broken link, a missing file or an undocumented public name fails.
docs: $(READY_FOR_DOCS)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@$(BIN)/python -m pytest tests/docs/test_docstrings.py

$(READY): pyproject.toml constraints.txt $(CONSTRAINTS)
	@if [ -e $(UNFINISHED) ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "setting up $(VENV): once, some minutes" && rm -rf $(VENV) && mkdir $(VENV) && \
		touch $(UNFINISHED) && $(PYTHON) -m venv $(VENV); \
	fi
	@touch $(UNFINISHED)
	@$(INSTALL) "pip>=21.3"
	@$(INSTALL) -c $(or $(CONSTRAINTS),constraints.txt) -e ".[test]"
	@rm $(UNFINISHED)
	@touch $@

$(READY_TO_LINT): $(READY)
	@$(INSTALL) -c constraints.txt -e ".[lint]"
	@touch $@

$(READY_FOR_DOCS): $(READY)
	@$(INSTALL) -c constraints.txt -e ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV) .venv-lowest demo dist site htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis

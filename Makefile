# Everything that a fresh machine needs: Python 3.11 or newer, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RESULTS := results

.PHONY: demo test lint docs dist clean

# The main job on an embedded default: scikit-learn's digits, from selection to judged cells.
demo: $(INSTALLED)
	$(BIN)/proxysample-nas study run --preset digits-demo --output $(RESULTS)/digits

# The whole test suite, with style and types.
test: $(INSTALLED) lint
	$(BIN)/pytest -n 2

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site, in results/site.
docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict

# Wheel and source archive, and the wheel tried in an environment that has nothing else.
dist: $(INSTALLED)
	rm -rf dist build/empty
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv build/empty
	build/empty/bin/pip install --quiet --disable-pip-version-check dist/*.whl
	cd build && empty/bin/python ../tests/try_wheel.py

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(RESULTS) .mypy_cache .ruff_cache .pytest_cache .hypothesis

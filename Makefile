# Everything that a fresh machine needs: Python 3.11 or newer, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RESULTS := results
PIP_OPTIONS := --quiet --disable-pip-version-check

# Warnings that old packages raise beside new ones are not ours.
OTHERS_WARNINGS := -W ignore::DeprecationWarning -W ignore::ResourceWarning \
	-W ignore::pytest.PytestUnraisableExceptionWarning

.PHONY: demo test lint wheel lowest soak docs dist release clean

# The main job on an embedded default, scikit-learn's digits: which sampler pays there, against ten
# random draws, as a table and a plot; then what searches on the kept parts find.
demo: $(INSTALLED)
	$(BIN)/proxysample compare --dataset digits --sampler facility-location --sampler herding \
		--sampler k-center --sampler ccs --sampler cc-or --sampler km-or \
		-r 0.05 -r 0.1 -r 0.25 --seeds 10 --workers 2 --output $(RESULTS)/which
	$(BIN)/proxysample-nas study run --preset digits-demo --output $(RESULTS)/digits

# Style and types, the whole test suite in a random order, and the wheel in an empty environment.
test: $(INSTALLED) lint
	$(BIN)/pytest -n 2 --dist worksteal
	$(MAKE) wheel

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation as a site, in results/site.
docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict

# Source archive and, from it, the wheel, which is tried in an environment that has nothing else,
# with the lowest versions of what it needs: all but torch, whose old releases come with gigabytes
# of CUDA packages.
wheel: $(INSTALLED)
	rm -rf build/dist build/empty
	$(BIN)/python -m build --outdir build/dist
	$(BIN)/python tests/packaging/lowest_versions.py --except torch torchvision > build/lowest.txt
	$(PYTHON) -m venv build/empty
	build/empty/bin/pip install $(PIP_OPTIONS) --no-compile -c build/lowest.txt build/dist/*.whl
	cd build && empty/bin/python ../tests/packaging/try_wheel.py

# The whole test suite with the lowest versions, torch included. Old releases of pyarrow bring a
# package benchmarks, which would hide ours.
lowest:
	mkdir -p build && rm -rf build/lowest
	$(PYTHON) tests/packaging/lowest_versions.py > build/lowest.txt
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/pip install $(PIP_OPTIONS) -c build/lowest.txt \
		-e ".[$$($(PYTHON) tests/packaging/lowest_versions.py --extras)]" pytest pytest-randomly pytest-xdist hypothesis
	rm -rf build/lowest/lib/python*/site-packages/benchmarks
	build/lowest/bin/pytest -n 2 $(OTHERS_WARNINGS) --ignore tests/test_documentation.py --ignore tests/test_notebooks.py

# Wheel and source archive of what is checked out: those that were tried.
dist: wheel
	rm -rf dist
	cp -r build/dist dist

# An hour of work that is killed at random, side by side; prints what became of it.
soak: $(INSTALLED)
	$(BIN)/python -m tests.soak --minutes 60

# What a release uploads: only from a clean commit with the tag of its version.
release: $(INSTALLED)
	$(BIN)/python tests/packaging/check_release.py
	$(MAKE) dist

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_OPTIONS) -e '.[dev]'
	$(BIN)/python tests/packaging/fit_torchvision.py
	touch $@

clean:
	rm -rf $(VENV) $(RESULTS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

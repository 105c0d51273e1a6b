# The commands of the README. Everything lives in .venv; another interpreter: make demo PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# Two tiers of tests share the cores. `slow` are exhaustive ones, many processes, compilers, large photos.
PYTEST := $(RUN) -m pytest --numprocesses auto --maxprocesses 8 --dist loadgroup

.PHONY: demo test test-slow test-long test-app test-install test-all fuzz growth lint docs benchmark schema mutate

# Photos restored by the weights that come with the package; then those are tuned to the Demo set's blur.
demo: $(VENV)/installed
	$(RUN) scripts/data_preparation/demo_dataset.py
	$(RUN) basicsr/test.py -opt options/test/Demo/SegNAFNet.yml
	$(RUN) basicsr/train.py -opt options/train/Demo/SegNAFNet.yml --auto_resume
	$(RUN) basicsr/test.py -opt options/test/Demo/SegNAFNet.yml --set name=Demo-tuned \
		path.pretrain_network_g=experiments/Demo-SegNAFNet/models/net_g_latest.pth
	$(RUN) scripts/compare.py results/Demo-SegNAFNet results/Demo-tuned -o results/Demo.html
	@echo "as it comes, and tuned:  results/Demo.html"
	@echo "training curves:         experiments/Demo-SegNAFNet/curves.svg"
	@echo "restored photos:         results/Demo-SegNAFNet/visualization/Demo"
	@echo "your own photo:          $(RUN) basicsr/infer.py -i PHOTO -o out/"

test: $(VENV)/installed-dev
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/installed-dev
	$(PYTEST) -m "slow and not long"

test-long: $(VENV)/installed-dev
	$(PYTEST) -m long

# Gradio allows only older versions of Pillow than the other tests, so the page has an environment of its own.
test-app: .venv-app/installed
	.venv-app/bin/python -m pytest tests/app

# The sdist and the wheel, in empty environments
PYTHONS ?= python3.10 python3.13
test-install: $(VENV)/installed-dev
	$(RUN) scripts/try_install.py $(PYTHONS)

test-all: test test-slow test-long test-app test-install fuzz

# Damaged inputs for every reader: make fuzz, or make fuzz INPUTS=2000 SEED=1 (docs/reliability.md)
INPUTS ?= 100000
fuzz: $(VENV)/installed-dev
	$(RUN) scripts/fuzz.py --number $(INPUTS) --seed $(SEED) --workers 2

# Whether 20,000 steps of training grow in memory or open files
growth: $(VENV)/installed-dev
	$(RUN) scripts/benchmark/growth.py

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(RUN) scripts/option_schema.py --check

# The documentation, into site/; open site/index.html. Its search needs a server: python3 -m http.server -d site
# Never with --quiet: a warning that is not logged does not end a strict build.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --clean

benchmark: $(VENV)/installed-dev
	$(RUN) scripts/benchmark/speed.py --write docs/benchmarks.md

schema: $(VENV)/installed
	$(RUN) scripts/option_schema.py

# How strong the tests of a folder are: make mutate ROOM=masks, or ROOM=masks NUMBER=60 SEED=1 (docs/testing.md)
NUMBER ?= 40
SEED ?= 0
mutate: $(VENV)/installed-dev
	@test -n "$(ROOM)" || { echo "which folder of basicsr? make mutate ROOM=masks"; exit 2; }
	$(RUN) -m pip install --quiet -e ".[mutate]"
	$(RUN) scripts/mutate.py $(ROOM) --number $(NUMBER) --seed $(SEED)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml requirements.txt
	$(RUN) -m pip install --quiet -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/bin/python pyproject.toml requirements.txt
	$(RUN) -m pip install --quiet -e ".[dev]"
	@touch $@

$(VENV)/installed-docs: $(VENV)/bin/python pyproject.toml requirements.txt
	$(RUN) -m pip install --quiet -e ".[docs]"
	@touch $@

.venv-app/installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv-app
	.venv-app/bin/python -m pip install --quiet -e ".[dev,app]"
	@touch $@

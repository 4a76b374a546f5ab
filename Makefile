# The two commands people type are `make patch` and `make test`; the rest is for maintainers.
# Variables: BASE, SOURCE (auto, git, pypi), UPTO (a group of the series), TREE (a clone of your
# own), VERIFY=1 (verify after patching), PYTHON (3.11 or newer).

PYTHON ?= python3
BASE ?= 1.0.0
SOURCE ?= auto
UPTO ?=
TREE ?=
VERIFY ?=

VENV := .venv
PATCHER := $(VENV)/bin/ltx2-patcher
ENV := vendor/env-$(BASE)
# Beside the base's own: what runs its tests, and what mypy needs to see the tool's types from there.
TEST_PACKAGES := pytest==9.2.0 hypothesis==6.170.15 gitpython==3.2.1 unidiff==1.0.1 rich==15.0.0
# What compares clips, draws timelines and asks the driver, beside what upstream asks for.
VERIFY_PACKAGES := scikit-image==0.26.0 matplotlib==3.11.2 nvidia-ml-py==13.615.71

.PHONY: patch install verify test test-all check bench clean

patch: $(VENV)/.tool
	@# A clone of your own gets the series that supports its commit, unless BASE was asked for.
	@$(PATCHER) apply $(if $(and $(TREE),$(filter file,$(origin BASE))),,--base $(BASE)) \
	  $(if $(TREE),--tree "$(TREE)",--source $(SOURCE)) \
	  $(if $(UPTO),--upto $(UPTO))
	@# VERIFY is emptied: verify depends on patch.
	@$(if $(VERIFY),$(MAKE) --no-print-directory verify VERIFY=,:)

install: $(VENV)/.tool
	@$(PATCHER) install --base $(BASE)

verify: patch install
	@$(ENV)/bin/python -c 'import skimage, matplotlib, pynvml' 2>/dev/null || \
	  $(ENV)/bin/python -m pip install -q --disable-pip-version-check $(VERIFY_PACKAGES)
	$(ENV)/bin/python -m verify --tree $(if $(TREE),"$(TREE)",vendor/LTX-2-$(BASE))

test: $(VENV)/.dev
	$(VENV)/bin/python -m tests.runner

test-all: $(VENV)/.dev
	$(VENV)/bin/python -m tests.runner --all

check: $(VENV)/.dev $(ENV)/.tests
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy --python-executable $(ENV)/bin/python
	$(PATCHER) lint
	$(PATCHER) export --check
	@$(MAKE) --no-print-directory test

bench: $(VENV)/.dev $(ENV)/.tests
	$(VENV)/bin/python -m tests.bench --env $(ENV)/bin/python

clean:
	rm -rf $(VENV) build

# The tool alone: what `make patch` needs.
$(VENV)/.tool: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.tool
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

# The environment of a base, with what its tests need beside it.
$(ENV)/.tests: $(VENV)/.tool vendor/upstream.toml
	@$(PATCHER) apply --base $(BASE) --source $(SOURCE)
	@$(PATCHER) install --base $(BASE)
	@$(ENV)/bin/python -m pip install -q --disable-pip-version-check $(TEST_PACKAGES) \
	  $(VERIFY_PACKAGES)
	@# The kernel that fuses LoRAs runs in Triton's interpreter; a CUDA torch brings its own Triton.
	@$(ENV)/bin/python -c 'import triton' 2>/dev/null || \
	  $(ENV)/bin/python -m pip install -q --disable-pip-version-check triton==3.6.0
	@touch $@

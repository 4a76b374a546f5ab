# What people type is `make patch`, `make test` and `make demo`; the rest is for maintainers.

PYTHON ?= python3
BASE ?= 1.0.0
SOURCE ?= auto
UPTO ?=
EXTRA ?=
TREE ?=
VERIFY ?=
PORT ?= 6020

VENV := .venv
PATCHER := $(VENV)/bin/ltx2-patcher
ENV := vendor/env-$(BASE)
PIP := -m pip install -q --disable-pip-version-check
# The packages of one of pyproject.toml's extras, where every pin stands.
extra = $(shell $(VENV)/bin/python -c 'import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]])' $(1))

.DEFAULT_GOAL := help
.PHONY: help patch install verify demo serve-install test test-all check release bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22
	@echo 'variables: BASE=$(BASE), SOURCE=auto|git|pypi, UPTO=GROUP of the series, TREE=DIR (a clone of'
	@echo 'your own), VERIFY=1 (verify after patching), EXTRA=ray (serve-install for several machines),'
	@echo 'PORT=$(PORT) of the demo, PYTHON=python3 (3.11 or newer)'

patch: $(VENV)/.tool ## lay the series into upstream, in vendor/ or in TREE
	@# A clone of your own gets the series that supports its commit, unless BASE was asked for.
	@$(PATCHER) apply $(if $(and $(TREE),$(filter file,$(origin BASE))),,--base $(BASE)) \
	  $(if $(TREE),--tree "$(TREE)",--source $(SOURCE)) \
	  $(if $(UPTO),--upto $(UPTO))
	@# VERIFY is emptied: verify depends on patch.
	@$(if $(VERIFY),$(MAKE) --no-print-directory verify VERIFY=,:)

install: $(VENV)/.tool ## an environment in which the patched base runs
	@$(PATCHER) install --base $(BASE)

verify: patch install ## run the patched scripts, with tiny weights or your own
	@$(ENV)/bin/python -c 'import skimage, matplotlib, pynvml, unidiff' 2>/dev/null || \
	  $(ENV)/bin/python $(PIP) $(call extra,verify)
	$(ENV)/bin/python -m verify --tree $(if $(TREE),"$(TREE)",vendor/LTX-2-$(BASE))

# ltx2_service/demo.toml is of 1.0.0, whatever BASE is.
demo: $(VENV)/.serve ## the video service and its page, with tiny random weights
	@$(PATCHER) apply --base 1.0.0 --source $(SOURCE)
	@$(PATCHER) install --base 1.0.0
	@$(MAKE) --no-print-directory vendor/demo/weights
	@$(PATCHER) serve --config ltx2_service/demo.toml --port $(PORT)

serve-install: $(VENV)/.serve ## what the video service needs, into the tool's environment
	@$(if $(EXTRA),$(VENV)/bin/python $(PIP) $(call extra,$(EXTRA)),:)

test: $(VENV)/.dev ## every test that runs without a GPU, less the slow ones
	$(VENV)/bin/python -m tests.runner

test-all: $(VENV)/.dev ## every base and every slow test; renews the proofs
	$(VENV)/bin/python -m tests.runner --all

check: $(VENV)/.dev $(ENV)/.tests ## format, lint, types, the series, then make test: what CI runs
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy --python-executable $(ENV)/bin/python
	$(VENV)/bin/mypy --cache-dir .mypy_cache/service $$(git ls-files 'ltx2_service/*.py' 'tests/service/*.py' 'verify/service/*.py')
	$(PATCHER) lint
	$(PATCHER) export --check
	@$(MAKE) --no-print-directory test

release: $(VENV)/.dev ## what is stale, proofs and measurements, and what renews each
	$(VENV)/bin/python -m tests.proofs

bench: $(VENV)/.dev $(ENV)/.tests ## compare seconds with and without the series
	$(VENV)/bin/python -m tests.bench --env $(ENV)/bin/python

clean: ## remove the tool's own environment and builds
	rm -rf $(VENV) build

# The package by a path from its environment: Python reads no other in a locale that can't spell it.
relative = for pth in $(VENV)/lib/python3*/site-packages/*ltx2_patcher.pth; do echo ../../../.. > "$$pth"; done

# The tool alone: what `make patch` needs. A clone that was moved or copied brings an environment
# that starts the clone where it was made.
ifneq ($(shell cat $(VENV)/.tool 2>/dev/null),$(CURDIR))
$(VENV)/.tool: elsewhere
elsewhere: ;
endif
$(VENV)/.tool: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=...")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python $(PIP) -e .
	@$(relative)
	@echo '$(CURDIR)' > $@

$(VENV)/.dev: $(VENV)/.tool
	@$(VENV)/bin/python $(PIP) -e '.[dev]'
	@$(relative)
	@touch $@

$(VENV)/.serve: $(VENV)/.tool
	@$(VENV)/bin/python $(PIP) -e '.[serve]'
	@$(relative)
	@touch $@

vendor/demo/weights:
	@echo 'drawing tiny random weights, about 10 s'
	@mkdir -p $(@D) && rm -rf $@.part
	@vendor/env-1.0.0/bin/python -W ignore -m verify.synthetic $@.part --variant 2.3 >/dev/null 2>$@.log || \
	  { cat $@.log; exit 1; }
	@mv $@.part $@

# The environment of a base, with what its tests need beside it.
$(ENV)/.tests: $(VENV)/.tool vendor/upstream.toml
	@$(PATCHER) apply --base $(BASE) --source $(SOURCE)
	@$(PATCHER) install --base $(BASE)
	@$(ENV)/bin/python $(PIP) $(call extra,tests) $(call extra,verify)
	@$(ENV)/bin/python -c 'import triton' 2>/dev/null || \
	  $(ENV)/bin/python $(PIP) $(call extra,kernels)
	@touch $@

# `make help` lists the targets. Each one makes what it needs in virtual environments of its own.

# Settable on the command line.
PORT = 8080
EXAMPLE = hello
PYTHON =
ARGS =

# How whole runs of the tests use the machine: one process on each processor that it has for us.
SPREAD = -n auto --dist worksteal

.PHONY: help run test test-all pytest lint types docs guard environment clean
.PHONY: bench bench-full bench-micro bench-report bench-environment wrk
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo 'make run [PORT=9000]    serve examples/hello.py on http://127.0.0.1:$(PORT)/'
	@echo 'make run EXAMPLE=upload serve examples/upload.py: send files, and get them back'
	@echo 'make run EXAMPLE=chat   serve examples/chat.py instead, a chat for the tabs of a browser'
	@echo 'make test               the tests, with branch coverage'
	@echo 'make test-all           the tests on each of Python $(VERSIONS) that works here'
	@echo 'make pytest [ARGS=...]  the tests alone, for example ARGS="-x tests/test_layers.py"'
	@echo 'make lint               ruff: rules and format'
	@echo 'make types              mypy --strict'
	@echo 'make docs               the pages of docs/ as a site, in build/docs/index.html'
	@echo 'make guard              what a request costs, counted: fails at 5 % more than is recorded'
	@echo 'make bench [ARGS=...]   benchmarks side by side with other servers, about two minutes;'
	@echo '                        ARGS=--help lists the options'
	@echo 'make bench-full         every case, three quarters of an hour; then bench-report'
	@echo 'make bench-micro        the parts of a request alone, under pyperf'
	@echo 'make bench-report       the tables and plots of docs/performance and the README, drawn anew'
	@echo 'make clean              remove environments, caches and build leftovers'
	@echo
	@echo 'PYTHON=/path/to/python3.12 picks the interpreter (test-all looks for its own).'
	@echo 'LOWLEVEL_LOOP=uvloop and LOWLEVEL_DEBUG=1 set the event loop of the tests.'

# ---- Environments ----------------------------------------------------------------------------

# Candidates in order of preference: on the PATH, then those that pyenv keeps off it.
VERSIONS = 3.13 3.12 3.11
PYENV_ROOT ?= $(HOME)/.pyenv
pyenv_python = $(PYENV_ROOT)/versions/$(1).*/bin/python$(1)
PYTHONS = $(or $(PYTHON),\
    $(VERSIONS:%=python%) python3 $(foreach version,$(VERSIONS),$(call pyenv_python,$(version))))

# An interpreter asked for by name gets an environment of its own.
VENV = .venv$(if $(PYTHON),-$(notdir $(PYTHON)))
BENCH_VENV = $(VENV)-bench
BIN = $(VENV)/bin
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check

# A name proves nothing: it may be a dead shim, too old, or lack ssl, venv or pip. The first
# candidate that makes a working environment wins.
%/bin/python:
	@for python in $(PYTHONS); do \
	    "$$python" -c 'import ssl, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    "$$python" -m venv --clear $* >/dev/null 2>&1 || continue; \
	    $@ -m pip --version >/dev/null 2>&1 || continue; \
	    echo "$*: $$($@ --version), made by $$python"; \
	    exit 0; \
	done; \
	rm -rf $*; \
	echo 'No Python 3.11 or newer that has ssl, venv and pip. Tried: $(PYTHONS)' >&2; \
	echo 'Debian and Ubuntu: apt-get install python3-venv. Elsewhere: make PYTHON=/path/to/python3' >&2; \
	exit 1

environment: $(BIN)/python

# Stamps: older than a file that lists dependencies means install again.
RUN = $(VENV)/.installed-run
DEV = $(VENV)/.installed-dev
BENCH = $(BENCH_VENV)/.installed-bench

$(RUN): setup.cfg pyproject.toml | $(BIN)/python
	@$(BIN)/python $(PIP_INSTALL) --editable .
	@touch $@

$(DEV): setup.cfg pyproject.toml | $(BIN)/python
	@$(BIN)/python $(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(RUN)

$(BENCH): setup.cfg pyproject.toml benchmarks/requirements.txt | $(BENCH_VENV)/bin/python
	@$(BENCH_VENV)/bin/python $(PIP_INSTALL) --editable . --requirement benchmarks/requirements.txt
	@touch $@

# ---- Targets ---------------------------------------------------------------------------------

run: $(RUN)
	@exec $(BIN)/python examples/$(EXAMPLE).py --port $(PORT)

test: $(DEV)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SPREAD)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

pytest: $(DEV)
	$(BIN)/python -m pytest $(or $(ARGS),$(SPREAD))

test-all:
	@tested=; missing=; failed=; \
	$(foreach version,$(VERSIONS), \
	    set -- VENV=.venv-$(version) PYTHON='python$(version) $(call pyenv_python,$(version))'; \
	    if $(MAKE) -s environment "$$@" >/dev/null 2>&1; then \
	        tested="$$tested $(version)"; \
	        $(MAKE) --no-print-directory pytest "$$@" || failed="$$failed $(version)"; \
	    else \
	        missing="$$missing $(version)"; \
	    fi; \
	) \
	echo "Tests ran on Python:$${tested:- none}. Not found here:$${missing:- none}. Failed:$${failed:- none}."; \
	[ -n "$$tested" ] && [ -z "$$failed" ]

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy --strict lowlevel examples $(wildcard tests/typing)

docs: $(DEV)
	$(BIN)/python -m sphinx -b html -W --keep-going --quiet docs build/docs
	@echo 'build/docs/index.html'

guard: $(DEV)
	$(BIN)/python -m benchmarks.guard $(ARGS)

# ---- Benchmarks ------------------------------------------------------------------------------

RESULTS = benchmarks/results

# Each peer lives in an environment of its own; one that does not install is left out by name.
bench-environment: wrk $(BENCH)
	@$(BENCH_VENV)/bin/python -m benchmarks.peers

wrk:
	@command -v wrk >/dev/null || { echo 'wrk is missing: apt-get install wrk' >&2; exit 2; }

bench: bench-environment
	$(BENCH_VENV)/bin/python -m benchmarks --quick $(or $(ARGS),--json $(RESULTS)/quick.json)

bench-full: bench-environment
	$(BENCH_VENV)/bin/python -m benchmarks --full $(or $(ARGS),--json $(RESULTS)/full.json)

bench-micro: $(BENCH)
	$(BENCH_VENV)/bin/python -m benchmarks.micro -o $(RESULTS)/micro.json $(ARGS)

bench-report: $(BENCH)
	$(BENCH_VENV)/bin/python -m benchmarks.draw $(ARGS)

# ---- Leftovers -------------------------------------------------------------------------------

clean:
	rm -rf .venv .venv-* build dist *.egg-info .coverage .coverage.* htmlcov
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

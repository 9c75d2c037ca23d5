# Two commands on a fresh machine with Python >= 3.11 and make: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Each in one process, most without a socket; the rest starts commands, pytests and servers, or makes up random programs.
QUICK  := tests/wire tests/estimate tests/prices tests/budget tests/ledger tests/test_config.py tests/test_forecast.py tests/test_house.py

.DEFAULT_GOAL := help
.PHONY: help demo quick test coverage check fix docs dist bench peers soak compat clean

help: ## what can be made here
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else "token_meter needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[simulator,html,redis]' --group dev
	@touch $@

demo: $(VENV)/.ready ## see it in a minute, without a key: a program, metered, next to its bill
	@$(BIN)/token-meter demo

quick: $(VENV)/.ready ## the tests that start no process: what to run while you work
	$(BIN)/python -m pytest -n 2 --dist loadfile -q $(QUICK)

test: $(VENV)/.ready ## all tests, docs and examples included
	$(BIN)/python -m pytest -n 2 --dist loadfile

coverage: $(VENV)/.ready ## all tests with branches counted, from before pytest loads its plugins, in children too
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: $(VENV)/.ready ## ruff, mypy strict, the import floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	cd examples && $(abspath $(BIN))/mypy --strict --no-error-summary $$(ls *.py | grep -v langchain)
	$(BIN)/lint-imports

fix: $(VENV)/.ready ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.ready ## the documentation as a site, in build/site; links are checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open build/site/index.html"

dist: ## wheel and source archive in dist/, checked, and the wheel tried in an empty environment
	$(PYTHON) tools/dist.py

bench: $(VENV)/.ready peers ## the benchmarks: against the bare SDK, and against the peers
	$(BIN)/python -m benchmarks
	$(BIN)/python benchmarks/count_speed.py
	$(BIN)/python -m benchmarks.loop_lag

.venvs/peers/.ready: pyproject.toml
	$(PYTHON) -m venv .venvs/peers
	.venvs/peers/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venvs/peers/bin/python -m pip install --quiet --editable . --group peers
	@touch $@

peers: .venvs/peers/.ready ## the same calls under token_meter and under each of its peers
	@.venvs/peers/bin/python -m benchmarks.peers

compat: ## the tests that touch the SDK, over openai 1.58 to the newest and the Pythons found here; prices too
	$(PYTHON) tests/compat/matrix.py
	$(PYTHON) tests/compat/prices.py

soak: $(VENV)/.ready ## random programs against the bill for MINUTES=20, the large scale tests, and new fuzz
	$(BIN)/python -m pytest -n 2 -m hypothesis --hypothesis-profile=new
	$(BIN)/python -m tests.proof.scale
	$(BIN)/python -m tests.proof.soak --minutes $(or $(MINUTES),20) --seed $(or $(SEED),1000000)

clean: ## remove what make made
	rm -rf $(VENV) .venvs .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build

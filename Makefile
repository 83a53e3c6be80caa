# Everything a newcomer needs. Only Python 3.11+ and make are assumed; all the rest is installed into .venv.
PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check install --quiet
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install dev demo test check bench up down requirements clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## install Nexus and what it needs into .venv

dev: .venv/.developing ## also install what the tests and checks need

demo: .venv/.installed ## run a whole project, live (ARGS="--no-tty", ARGS="--json", …)
	@.venv/bin/nexus demo $(ARGS)

test: .venv/.developing ## run all tests, against a nats-server of their own (ARGS="-k timers")
	@.venv/bin/python -m pytest $(ARGS)

check: .venv/.developing ## format, lint and types
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy

bench: .venv/.installed ## measure (ARGS="fan chains")
	@.venv/bin/nexus bench $(ARGS)

up: .venv/.installed ## start the whole system here
	@.venv/bin/nexus up $(ARGS)

down: .venv/.installed ## stop it
	@.venv/bin/nexus down $(ARGS)

requirements: ## pin the newest versions again (needs uv)
	uv pip compile $(COMPILE) pyproject.toml -o requirements.txt
	uv pip compile $(COMPILE) pyproject.toml --extra dev -c requirements.txt -o requirements-dev.txt

clean: ## remove what was built; produced projects and the log stay
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

COMPILE := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make requirements"

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Nexus needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv

.venv/.installed: requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing Nexus into .venv (once) ..."
	@$(PIP) --require-hashes -r requirements.txt && $(PIP) --no-deps -e . && touch $@

.venv/.developing: requirements-dev.txt .venv/.installed
	@echo "Installing what tests and checks need (once) ..."
	@$(PIP) --require-hashes -r requirements-dev.txt && touch $@

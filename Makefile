# `make` alone lists the targets. Everything lands in .venv and .plazo; nothing is installed elsewhere.

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast faults lint bench fuzz kafka lock clean

PY := .venv/bin/python
CHECKED := services shared deploy tests
# Ctrl-C belongs to the command alone, so that make ends with the command's own status.
FOREGROUND := @$(PY) -I -S deploy/local/foreground.py

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: .venv/.installed ## make .venv with what the services need; starts nothing
	@echo 'The environment in .venv is ready.'

run: .venv/.installed ## run the whole system on this machine until Ctrl-C
	$(FOREGROUND) ./plazo run

test: .venv/.installed-dev ## run every test, on the most real Kafka that this machine can run
	@$(PY) -m pytest $(TESTS)

test-fast: .venv/.installed-dev ## run the unit tests only
	@$(PY) -m pytest tests/unit

faults: .venv/.installed-dev ## play every fault on a real Kafka and PostgreSQL, a line a row of the matrix
	@$(PY) -m tests.faults --only '$(ONLY)'

lint: .venv/.installed-dev ## check style, types and import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@$(PY) -m mypy $(CHECKED)
	@.venv/bin/lint-imports --config importlinter.toml

bench: .venv/.installed-bench ## measure speed, latency, memory and restart on a real Kafka and PostgreSQL
	@$(PY) -m tests.bench

fuzz: .venv/.installed-fuzz ## throw bytes at the reader TARGET (records, published, files) for SECONDS, 60 without it
	@$(PY) -m tests.fuzz

kafka: .venv/.installed ## run a real Apache Kafka for development until Ctrl-C (needs a JDK and Maven)
	$(FOREGROUND) $(PY) -m deploy.local.real_kafka

lock: .venv/.installed ## pin again what the requirements*.in name
	@deploy/local/lock

clean: ## remove .venv, .plazo with its data, and caches
	@rm -rf .venv .plazo .bench .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	@find services shared deploy tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements.lock
	@deploy/local/install requirements.lock
	@touch $@

.venv/.installed-dev: requirements-dev.lock .venv/.installed
	@deploy/local/install requirements-dev.lock
	@touch $@

.venv/.installed-bench: requirements-bench.lock .venv/.installed-dev
	@deploy/local/install requirements-bench.lock
	@touch $@

.venv/.installed-fuzz: requirements-fuzz.lock .venv/.installed-dev
	@deploy/local/install requirements-fuzz.lock
	@touch $@

# Two commands: `make demo` shows the product at work on the real Prometheus and Alertmanager, `make test` passes every test.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
USERS_SCALE ?= 1
KEEP ?= 0
export PYTHONDONTWRITEBYTECODE = 1
# our files are UTF-8 whatever the locale of the terminal (ja_JP.eucJP)
export PYTHONUTF8 = 1

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: demo
demo: .venv/demo .peers/ready ## the main job on real parts in about two minutes (USERS_SCALE=0.0001, KEEP=1)
	@$(BIN)/python -m examples.demo --users-scale $(USERS_SCALE) $(if $(filter 1 yes true,$(KEEP)),--keep)

.PHONY: test
test: lint .venv/dev .peers/ready .peers/tools .peers/redmine/ready .peers/postgres ## every gate and every test
	$(BIN)/python -m pytest -n auto

# every test that starts one of them or asks promtool or amtool
NEWER_TESTS := tests/observation tests/incidents/test_methods_live.py tests/integration tests/rules tests/grafana_dashboards tests/test_demo_history.py \
	tests/test_docs.py tests/helm tests/catalogue/test_matchers.py
.PHONY: test-newer
test-newer: .venv/dev .peers-newer/ready .peers/tools .peers/redmine/ready .peers/postgres ## the tests of Prometheus and Alertmanager, with newer versions
	ART58_PEERS=.peers-newer $(BIN)/python -m pytest -n auto $(NEWER_TESTS)

.PHONY: lint
lint: .venv/dev ## ruff, mypy --strict, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: docs
docs: .venv/dev ## write again what is generated: the reference pages, the schema, the dashboard
	$(BIN)/python -m docs.generate
	$(BIN)/python grafana-dashboards/generate.py
	rm -f helm/art58-receiver/files/rules/* && cp rules/*.rules.yml helm/art58-receiver/files/rules/
	cp grafana-dashboards/art58.json helm/art58-receiver/files/dashboards/

.PHONY: bench
bench: .venv/dev .peers/tools .peers/postgres ## the intake against a bare Flask app, a tick over many incidents, a tree of much equipment, the forecast, a backtest, storms of faults and alerts, the start, kills, several receivers
	$(BIN)/python -m benchmarks.intake
	$(BIN)/python -m benchmarks.tick
	$(BIN)/python -m benchmarks.topology
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.forecast
	$(BIN)/python -m benchmarks.backtest
	$(BIN)/python -m benchmarks.faults
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.storm
	$(BIN)/python -m benchmarks.kill --kills 40
	$(BIN)/python -m benchmarks.kill --kills 40 --store postgresql --receivers 2
	$(BIN)/python -m benchmarks.replicas

.PHONY: check-grafana-spec
check-grafana-spec: .venv/dev ## is what the stand-in for Grafana takes a part of Grafana's own API? (SPEC=openapi3.json of a Grafana)
	$(BIN)/python -m tests.check_grafana_spec $(SPEC)

.PHONY: mutation
mutation: .venv-mutation/ready ## does a test notice every small change of receiver/law? (MODULES="estimate methods" for some)
	.venv-mutation/bin/python -m tests.mutation $(MODULES)

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf .venv .venv-mutation .peers .peers-newer var dist mutants .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/made:
	@bash examples/make-venv.sh "$(PYTHON)" .venv
	@touch $@

.venv/demo: .venv/made pyproject.toml constraints.txt
	@echo "installing the receiver into .venv"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

.venv/dev: .venv/made pyproject.toml constraints.txt constraints-dev.txt
	@echo "installing the receiver and what its tests need into .venv"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -c constraints-dev.txt -e '.[dev]'
	@touch $@ .venv/demo

# a venv of its own: mutmut brings setproctitle, under which gunicorn renames the processes that tests look for
.venv-mutation/ready: pyproject.toml constraints.txt constraints-dev.txt
	@echo "installing what tests the tests into .venv-mutation"
	@bash examples/make-venv.sh "$(PYTHON)" .venv-mutation
	@.venv-mutation/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -c constraints-dev.txt -e '.[dev,mutation]'
	@touch $@

# own binaries take effect also where others are at hand already
.PHONY: own-peers
own-peers:

.peers/ready: examples/get-peers.sh $(if $(PROMETHEUS)$(PROMTOOL)$(ALERTMANAGER)$(AMTOOL),own-peers)
	@bash examples/get-peers.sh .peers
	@touch $@

# the newest that Debian has
.peers-newer/ready: examples/get-peers.sh
	@bash examples/get-peers.sh .peers-newer sid
	@touch $@

.peers/tools: tests/get-tools.sh
	@bash tests/get-tools.sh .peers/tools-root
	@touch $@

.peers/postgres: tests/get-postgres.sh
	@bash tests/get-postgres.sh
	@mkdir -p .peers && touch $@

.peers/redmine/ready: tests/get-redmine.sh tests/delivery/redmine-seed.rb
	@bash tests/get-redmine.sh .peers/redmine
	@touch $@

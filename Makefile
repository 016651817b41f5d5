# Everything from a fresh clone, as root on Debian 12, with git, make and Python 3.11 there:
#   make demo      see it work
#   make test      run every test
# Each sets up what it needs first, asking nothing, and the second time at once.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
BUILD := build
# A checkout that was moved or copied needs its environment made anew: scripts in it name their place.
STAMP := $(VENV)/.set-up-in-$(shell pwd -P | cksum | cut -d' ' -f1)
PACKAGES := $(BUILD)/.packages
# Where nobody can ask again, what is printed has to fit.
PYTEST := $(BIN)/python -m pytest $(if $(CI),--tb=short)

# `su` without a dash leaves out the folders where Debian keeps nft and conntrack.
export PATH := $(PATH):/usr/sbin:/sbin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check lint soak completions venv clean

help: ## This list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(STAMP) ## A cluster on this machine: a service, its address, a client, a failover; cleans up
	@exec $(BIN)/lbctl lab demo

# Three passes. What is pure runs on all cores. What needs namespaces or a whole cluster measures time: alone.
test: $(STAMP) ## Every test, those in network namespaces too
	@rm -f $(BUILD)/junit-*.xml; status=0; \
	$(PYTEST) -q -n auto -m "not (netns or lab or slow)" --junitxml=$(BUILD)/junit-pure.xml || status=1; \
	$(PYTEST) -q -m "netns and not (lab or slow)" --junitxml=$(BUILD)/junit-netns.xml || status=1; \
	$(PYTEST) -q -m "lab and not slow" --junitxml=$(BUILD)/junit-lab.xml || status=1; \
	$(BIN)/python .ci/summary.py $(BUILD)/junit-pure.xml $(BUILD)/junit-netns.xml $(BUILD)/junit-lab.xml || status=1; \
	exit $$status

lint: $(STAMP) ## Format, style, types and the import law, without the tests
	@status=0; \
	$(BIN)/ruff format --check . || status=1; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/mypy --strict || status=1; \
	$(BIN)/lint-imports || status=1; \
	exit $$status

check: ## All of it in one go: lint, then test
	@status=0; \
	$(MAKE) --no-print-directory lint || status=1; \
	$(MAKE) --no-print-directory test || status=1; \
	exit $$status

soak: $(STAMP) ## The tests that take minutes
	@$(PYTEST) -m slow --timeout=7200

completions: $(STAMP) ## Write completions/ again
	@for shell in bash zsh fish; do \
		$(BIN)/lbctl completion $$shell > $(BUILD)/lbctl.$$shell && mv $(BUILD)/lbctl.$$shell completions/ || exit 1; \
	done

venv: $(STAMP) ## The virtual environment in .venv, with lbctl and what its development needs

clean: ## Remove all that make made
	rm -rf $(VENV) $(BUILD) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find lbctl tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(PACKAGES): .ci/packages
	@mkdir -p $(BUILD)
	@.ci/packages "$(PYTHON)"
	@touch $@

$(STAMP): pyproject.toml $(PACKAGES)
	@if ! grep -qsF "$(CURDIR)/$(VENV)/" $(BIN)/pip; then \
		echo "making the virtual environment in $(VENV)"; \
		rm -rf $(VENV) && "$(PYTHON)" -m venv $(VENV); \
	fi
	@echo "installing lbctl and what it needs into $(VENV)"
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@# As pip does with what it copies: each command would have to compile it otherwise where Python may not write.
	@$(BIN)/python -m compileall -q lbctl
	@touch $@

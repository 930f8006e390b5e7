.SHELLFLAGS = -ec
SHELL = bash
.DEFAULT_GOAL = help

# numpy 1.26 and paddle 3.2 have wheels for these.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do command -v $$p && break; done)
VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.complete

##@ Start here

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Make .venv with everything that demo and test need, pinned

# The list is complete, so that nothing is resolved and two machines get the same packages.
$(STAMP): requirements/lock.txt requirements/overlay.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	echo "Installing the pinned packages (about 2 GB, a minute or two) ..."
	$(BIN)/pip install --quiet --no-deps -r requirements/lock.txt
	$(BIN)/pip install --quiet --no-deps -r requirements/overlay.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

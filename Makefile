.SHELLFLAGS = -ec
SHELL = bash
.DEFAULT_GOAL = help

# numpy 1.26 and paddle 3.2 have wheels for these two.
SUITABLE = import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c '$(SUITABLE)' 2>/dev/null && echo $$p && break; done)
VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.complete
NATIVE = trainer/ppocr/operators/liboperators.so

##@ Start here

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) $(NATIVE) ## Make .venv with everything that demo and test need, pinned

# The lists are complete, so that nothing is resolved, and have the hashes of all files: two machines get the same packages.
$(STAMP): requirements/lock.txt requirements/overlay.txt pyproject.toml
	@"$(PYTHON)" -c '$(SUITABLE)' 2>/dev/null || { echo "Python 3.11 or 3.12 with its venv module is needed" \
		"(numpy 1.26 and paddle 3.2 have no wheels for others). Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the pinned packages (about 2 GB, a minute or two) ..."
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/lock.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/overlay.txt
	@# The other mode looks through all of its packages whenever Python starts, which takes a tenth of a command's time.
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

.PHONY: native
native: $(NATIVE) ## Compile the reader's costly operators (a C compiler; without one PaddleOCR's own are used)

# Renamed into place, since a training may have the old one loaded.
$(NATIVE): native/operators.c native/build
	@if command -v $${CC:-cc} >/dev/null && native/build $@.new; then mv $@.new $@; \
		else echo "No C compiler that can build native/operators.c, so samples are read by PaddleOCR's own operators," \
			"which are slower." >&2; fi

.PHONY: demo
demo: setup ## Train a detector and a recogniser on generated pages, then read new pages with them
	$(BIN)/python -m examples.demo

##@ Work on the code

# So that at the end no process waits for another's long file.
SLOW_FIRST = tests/e2e tests/unit tests/kubectl tests/chart tests/manifests

.PHONY: test
test: setup ## Run every test that needs no cluster (some 10 minutes on 2 cores)
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder -m "not slow" $(SLOW_FIRST)

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
CONTRACT := $(shell sed -n 's/^CONTRACT: Final = //p' trainer/contract.py)
AUDIT = $(VENV)/audit
BUILDER ?= $(shell for p in docker podman buildah; do command -v $$p && break; done)
ARGS ?=
IMAGE ?= ocrfleet/trainer:$(VERSION)$(VARIANT)
BUILD = $(BUILDER) build --build-arg VERSION=$(VERSION) --build-arg CONTRACT=$(CONTRACT)

.PHONY: image
image: builder ## Build the trainer's image for CPUs with docker, podman or buildah (IMAGE=NAME:TAG, ARGS=more options)
	@echo "This image trains on CPUs (placement.device: cpu). For NVIDIA's GPUs, use make image-gpu."
	$(BUILD) $(ARGS) --tag $(IMAGE) .

.PHONY: builder
builder:
	@[[ -n "$(BUILDER)" ]] || { echo "docker, podman or buildah is needed to build an image: install one," \
		"or name another of their kind: make image BUILDER=/path/to/it" >&2; exit 1; }

CUDA ?= 12.6
INDEX ?= https://www.paddlepaddle.org.cn/packages/stable/cu$(subst .,,$(CUDA))/
WHEELS ?= $(VENV)/wheels/cu$(subst .,,$(CUDA))
GPU_LIST = requirements/gpu/cu$(subst .,,$(CUDA)).txt

.PHONY: image-gpu
image-gpu: VARIANT = -cu$(subst .,,$(CUDA))
image-gpu: builder cuda ## Build the trainer's image for NVIDIA's GPUs, after lock-gpu (CUDA=11.8, 12.6 or 12.9; IMAGE=, ARGS=)
	@[[ -f $(GPU_LIST) ]] || { echo "$(GPU_LIST) is missing. It has the versions and hashes of PaddlePaddle for CUDA" \
		"$(CUDA): write it with make lock-gpu CUDA=$(CUDA), where $(INDEX) can be reached." >&2; exit 1; }
	$(BUILD) --build-arg DEVICE=gpu --build-arg CUDA=$(CUDA) --build-arg PADDLE_INDEX=$(INDEX) $(ARGS) --tag $(IMAGE) .

.PHONY: lock-gpu
lock-gpu: cuda $(AUDIT)/.complete ## Write the versions and hashes of PaddlePaddle for GPUs (CUDA=, INDEX=, WHEELS=FOLDER; downloads some 5 GB)
	$(AUDIT)/bin/python requirements/gpu.py $(CUDA) --list $(GPU_LIST) --index $(INDEX) --wheels $(WHEELS)

.PHONY: cuda
cuda:
	@[[ " 11.8 12.6 12.9 " == *" $(CUDA) "* ]] || { echo "CUDA is '$(CUDA)', but PaddlePaddle is built for 11.8, 12.6 and 12.9." >&2; exit 2; }

CLUSTER = $(VENV)/.cluster
MACHINE = $(BIN)/python -m tests.cluster.machine

$(CLUSTER): $(STAMP) requirements/cluster.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/cluster.txt
	@touch $@

.PHONY: cluster-up
cluster-up: $(CLUSTER) ## Bring up a Kubernetes of two nodes on this machine, and print its kubeconfig (root; Debian)
	@$(MACHINE) up

.PHONY: cluster-down
cluster-down: $(CLUSTER) ## Take it down; what was built is kept
	@$(MACHINE) down

.PHONY: cluster-programs
cluster-programs: $(CLUSTER) ## Build all programs that the cluster's tests need, ahead of them (minutes)
	@$(MACHINE) build

# Taken down even if a test fails.
.PHONY: test-cluster
test-cluster: FILES ?= tests/cluster
test-cluster: $(CLUSTER) ## Run the tests on a real cluster (FILES=…): cluster-up's, or the one of OCRFLEET_TEST_KUBECONFIG
	@[[ -n "$$OCRFLEET_TEST_KUBECONFIG" ]] || trap '$(MACHINE) down' EXIT; $(BIN)/python -m pytest $(FILES) $(SELECT)

.PHONY: test-training
test-training: FILES ?= tests/e2e
test-training: setup ## Run the tests that train for longer than `make test` may take (FILES=…)
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile -m slow $(FILES)

GPU = $(VENV)/gpu

# As setup, with the other PaddlePaddle.
$(GPU)/.complete: requirements/lock.txt requirements/overlay.txt $(wildcard requirements/gpu/*.txt) pyproject.toml
	@[[ -f $(GPU_LIST) ]] || { echo "$(GPU_LIST) is missing: write it with make lock-gpu CUDA=$(CUDA)." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(GPU)
	sed '/^paddlepaddle==/,/[^\\]$$/d' requirements/lock.txt > $(GPU)/lock.txt
	$(GPU)/bin/python -m pip install --quiet --no-deps --require-hashes -r $(GPU)/lock.txt
	$(GPU)/bin/python -m pip install --quiet --no-deps --require-hashes --extra-index-url $(INDEX) -r $(GPU_LIST)
	$(GPU)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/overlay.txt
	$(GPU)/bin/python -m pip install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

# The driver is asked before anything is installed.
.PHONY: test-gpu
test-gpu: ## Test training on this machine's CUDA device, in some ten minutes; says "not run" where there is none (CUDA=)
	@if $(PYTHON) -c 'import sys; from trainer.system import cuda; sys.exit(not cuda.report()["devices"])'; then \
		$(MAKE) --no-print-directory $(GPU)/.complete && $(GPU)/bin/python -m pytest -rP tests/gpu; \
	else echo "not run: no CUDA device"; fi

RECEIPTS ?=

.PHONY: receipts
receipts: setup ## Train on real receipts and read with the models (RECEIPTS=a PPOCRLabel export with its crops)
	@[[ -n "$(RECEIPTS)" ]] || { echo "Name a PPOCRLabel export with its crops: make receipts RECEIPTS=/path/to/it" >&2; exit 2; }
	OCRFLEET_TEST_RECEIPTS="$(RECEIPTS)" $(BIN)/python -m pytest tests/receipts
	$(BIN)/python -m examples.receipts "$(RECEIPTS)"

.PHONY: ci-parts
ci-parts: setup ## List the slow parts of the suite, of which CI runs one a commit, with their last measured time
	@$(BIN)/python -m tests.parts list

PART ?=

.PHONY: ci-part
ci-part: setup ## Run one of them: PART=NAME, else the one of the head commit
	@$(BIN)/python -m tests.parts run $(PART)

COUNT ?= 100
SEED ?= 1
ONLY ?=

.PHONY: mutants
mutants: setup ## Change the code in 100 small ways, and list those that no unit test notices (COUNT=, SEED=, ONLY=path)
	$(BIN)/python -m tests.mutants --count $(COUNT) --seed $(SEED) $(addprefix --only ,$(ONLY))

INPUTS ?= 10000
GUIDED =
FUZZ = $(VENV)/.fuzz

$(FUZZ): $(STAMP) requirements/fuzz.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/fuzz.txt
	@touch $@

.PHONY: fuzz
fuzz: setup $(if $(GUIDED),$(FUZZ)) ## Give random input to what parses input from outside (INPUTS=for each target, SEED=, ONLY=target, GUIDED=1: by atheris)
	$(BIN)/python -m tests.fuzz --count $(INPUTS) --seed $(SEED) $(if $(GUIDED),--guided) $(addprefix --only ,$(ONLY))

.PHONY: bench
bench: setup ## Compare the speed of training with PaddleOCR's own loop (15 minutes on 2 quiet cores)
	$(BIN)/python -m benchmarks.train_throughput

.PHONY: lint
lint: setup ## Check style, types and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

PINNED = lock overlay cluster fuzz audit
EXCEPTIONS = requirements/audit-exceptions.txt

$(AUDIT)/.complete: requirements/audit.txt
	$(PYTHON) -m venv --clear $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/audit.txt
	@touch $@

# Not a part of CI: a new entry in a database must not fail a change that has nothing to do with it. One call per list:
# pip-audit refuses two versions of a package, and audit.txt has other versions than the lock.
.PHONY: audit
audit: $(AUDIT)/.complete ## Look for known vulnerabilities in the pinned packages, in the databases of PyPI and OSV
	@failed=0; for service in pypi osv; do for list in $(PINNED); do echo "$$service, $$list:"; \
		$(AUDIT)/bin/pip-audit --strict --require-hashes --disable-pip \
		--vulnerability-service $$service -r requirements/$$list.txt \
		$$(sed -n 's/^\([A-Z][-A-Za-z0-9]*\) .*/--ignore-vuln \1/p' $(EXCEPTIONS)) || failed=1; done; done; exit $$failed

# Its environment is no prerequisite: after a change of audit.txt, it could not be installed before the hashes are there.
.PHONY: hashes
hashes: ## Write the hashes of all pinned packages, after a version in requirements/ was changed
	@[[ -x $(AUDIT)/bin/uv ]] || $(MAKE) --no-print-directory $(AUDIT)/.complete
	$(AUDIT)/bin/python requirements/hashes.py $(PINNED:%=requirements/%.txt)

GENERATED = docs/reference ':(glob)charts/ocr-training/*' manifests/components/trainjob-runtime jobs/commands/completions

.PHONY: verify
verify: setup ## Write the reference pages and the chart's values again; fail when they differ from what is committed
	$(BIN)/python -m docs.generate
	@changed="$$(git status --porcelain -- $(GENERATED))" || { \
		echo "Without git nobody can tell whether what is generated differs from what is committed." >&2; exit 1; }; \
	test -z "$$changed" || { git --no-pager diff HEAD -- $(GENERATED); echo "$$changed"; \
		echo "What is generated differs from what is committed. It is up to date now: look at it and commit it." >&2; exit 1; }

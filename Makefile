# Everything runs in .venv; a fresh Linux machine needs Python 3.11+, git and make.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,\
    $(if $(shell $(name) -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null | grep True),$(name))))

VENV := .venv
READY := $(VENV)/.ready
WHEELS := $(VENV)/.sanity-wheels
LINK := .collections/ansible_collections/hokusai/platform
PEER := build/bench/peer
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" PYTHONPATH="$(CURDIR)/.collections:$(CURDIR)" $(VENV)/bin/python

.PHONY: help
help:  ## say what can be made
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ split($$1, names, ":"); printf "  make %-50s %s\n", names[1], $$2 }'

.PHONY: demo
demo: install  ## start the sandbox in the state of the incident, repair it, register a model
	@$(RUN) tests/demo.py

.PHONY: down
down: install  ## stop the sandbox that the demo left up
	@$(RUN) -m sandbox down

.PHONY: test
test: install $(WHEELS)  ## everything that checks the project
	@$(RUN) tests/stages.py

.PHONY: lint types ansible-lint unit integration molecule input story
lint types ansible-lint unit integration molecule input story: install  ## one part of the checks
	@$(RUN) tests/stages.py $@

.PHONY: bench
bench: install  ## what alb_rules costs, beside the fewest calls that plain boto3 needs (2 minutes)
	@$(RUN) -m tests.bench.rules

.PHONY: bench-rules
bench-rules: install $(PEER)  ## listener rules with alb_rules and with amazon.aws: time, calls, and requests lost meanwhile (6 minutes)
	@$(RUN) -m tests.bench.rules --peer $(PEER)/bin/python

.PHONY: bench-gateway
bench-gateway: install  ## the gateway beside nginx, haproxy and a naive proxy, and whether it meets its bars (4 minutes)
	@$(RUN) -m tests.bench.proxies

.PHONY: soak
soak: install  ## 200,000 requests through the gateway, with restarts of the upstream and idle gaps (6 minutes)
	@$(RUN) -m tests.bench.soak

.PHONY: reliability
reliability: install  ## kill -9 at every write, concurrent and throttled runs, and all draws by chance in full (a night)
	@$(RUN) -m tests.reliability

.PHONY: mlflow-versions
mlflow-versions: install  ## the client's story with MLflow 3.4 to the newest, with and without a static prefix (20 minutes)
	@$(RUN) -m tests.story.versions

.PHONY: sanity
sanity: install $(WHEELS)  ## ansible-test sanity on what the built collection holds
	@$(RUN) tests/stages.py $@

.PHONY: iam
iam: install  ## the IAM policies in docs/iam, from what the playbooks ask of the sandbox (half an hour)
	@$(RUN) -m tests.iam --record

.PHONY: release
release: install  ## version, changelog and tarball, with nothing that galaxy-importer complains of; VERSION=1.2.3 or the next
	@$(RUN) tests/release.py --version "$(VERSION)"

.PHONY: docs
docs: install  ## the site of the documents, in build/docs/site
	@$(RUN) -m tests.docsite

.PHONY: install
install: $(READY) $(LINK)  ## .venv with pinned requirements, and the link by which Ansible finds the checkout

$(READY): requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV) || { \
	    echo "$(PYTHON) -m venv failed: install the venv package of this Python (Debian: python3-venv)" >&2; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

$(WHEELS): $(READY) tests/sanity.py
	$(VENV)/bin/python tests/sanity.py --fetch $@
	@touch $@

$(PEER): requirements-bench.txt
	@rm -rf $@
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check --requirement $< || { rm -rf $@; exit 1; }
	@touch $@

$(LINK):
	@mkdir -p $(@D)
	@ln -sfn ../../.. $@

.PHONY: clean
clean:  ## stop the sandbox and remove everything that was made
	@test ! -x $(VENV)/bin/python || $(RUN) -m sandbox down || true
	rm -rf $(VENV) .collections .sandbox .cache build tests/output .mypy_cache .ruff_cache *.tar.gz

# Hatchery's two commands are `make serve` and `make test`; `make help` lists the rest.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# ORDER shuffles the tests: the same way each time, unless another is given.
ORDER := 1
PYTEST := $(BIN)/python -m pytest --randomly-seed $(ORDER) --numprocesses 4 --dist loadgroup
# In this order: what comes later takes the versions of what came before.
PINNED := requirements requirements-dev $(filter-out requirements requirements-dev,$(patsubst requirements/%.in,%,$(wildcard requirements/*.in)))

.PHONY: help serve test test-postgres lint format docs reference bench bench-seeds bench-pages bench-crl bench-revocation bench-renewals bench-hostile faults scan-tls fuzz seed screenshots pins advisories sbom clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

serve: $(VENV)/.installed ## Install, migrate, bootstrap and serve all five listeners.
	@$(BIN)/python manage.py serve

# Hundreds of processes are started: each would compile all modules anew if Python might not keep them compiled.
test: $(VENV)/.installed-dev ## Set up what the tests need, and run all of them.
	@PYTHONDONTWRITEBYTECODE= $(PYTEST) --no-loadscope-reorder

test-postgres: $(VENV)/.installed-dev ## Run the tests, or those that TESTS names, on a PostgreSQL of their own.
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m tests.postgres $(PYTEST) $(TESTS)

lint: $(VENV)/.installed-dev ## Check style, types, layers, migrations and production settings.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	PORTAL_DATA_DIR=$$(mktemp -d) PORTAL_HOSTNAMES=ca.example PORTAL_KEY_PASSPHRASE=an-example-that-is-long-enough \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

format: $(VENV)/.installed-dev ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-docs docs/site/node_modules/.installed ## Build the documentation as a site, in site/; a broken link stops it.
	@rm -rf site
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky --fresh-env --doctree-dir $(VENV)/doctrees -c docs . site
	@echo "Open site/index.html"

reference: $(VENV)/.installed-dev ## Write docs/reference/ anew, from the code.
	@$(BIN)/python -m docs.generating

bench: $(VENV)/.installed-dev ## Measure what an operation costs; BENCH=--long compares everything.
	@$(BIN)/python -m benchmarks.compare $(BENCH)
	@$(BIN)/python -m benchmarks.report

bench-seeds: $(VENV)/.installed-dev ## Fill var/bench-seeds for BENCH=--long with 10,000 and 1,000,000 certificates.
	@$(BIN)/python -m benchmarks.compare.seeding

seed: $(VENV)/.installed-dev ## Fill var/seeded with 100,000 devices and 1,000,000 certificates.
	@$(BIN)/python -m benchmarks.seed $(SEED)

bench-pages: $(VENV)/.installed-dev ## Measure the console's pages on what `make seed` made.
	@$(BIN)/python -m benchmarks.pages

bench-crl: $(VENV)/.installed-dev ## Measure how long CRLs of 10,000 to 250,000 entries take.
	@$(BIN)/python -m benchmarks.crl

bench-revocation: $(VENV)/.installed-dev ## Measure how soon a revocation is seen, on this node and another.
	@$(BIN)/python -m benchmarks.revocation

bench-renewals: $(VENV)/.installed-simulation ## Let a million devices renew themselves, with outages of 1 h and 6 h.
	@$(BIN)/python -m benchmarks.renewal_storm --plot docs/images/renewal-storm.svg

bench-hostile: $(VENV)/.installed-dev ## Measure what stalled connections and floods cost good devices.
	@$(BIN)/python -m benchmarks.hostile

faults: $(VENV)/.installed-dev ## Kill everything at random, 100 times a database, while devices enroll; half an hour.
	@$(BIN)/python -m benchmarks.faults $(FAULTS)

scan-tls: $(VENV)/.installed-dev ## Have testssl.sh look at each TLS listener; half an hour.
	@$(BIN)/python -m benchmarks.tls_scan

fuzz: $(VENV)/.installed-dev ## Send random and changed bytes to each parser, a million in all.
	@$(BIN)/python -m benchmarks.fuzz

screenshots: $(VENV)/.installed-dev ## Take pictures of the console into the folder TO (screenshots).
	@$(BIN)/python -m docs.screenshots $(or $(TO),screenshots)

pins: $(VENV)/.installed-supply ## Compile requirements/*.in into pins with hashes; UPGRADE=--upgrade takes newer versions.
	@for name in $(PINNED); do $(BIN)/uv pip compile --quiet $(UPGRADE) requirements/$$name.in --output-file $$name.txt || exit 1; done

advisories: $(VENV)/.installed-supply ## Ask PyPI whether an advisory names one of our pins.
	@$(BIN)/python -m requirements.advisories

sbom: $(VENV)/.installed-supply ## Write the bill of materials of what is served into TO (hatchery.cdx.json).
	@$(BIN)/python -m requirements.sbom >$(or $(TO),hatchery.cdx.json)

clean: ## Remove the virtual environments; var/ stays.
	rm -rf $(VENV) .venv-django-ca

$(VENV)/.made:
	@test -w . || { echo "The folder $$(pwd) is not writable; clone Hatchery to one of your own." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hatchery needs Python 3.11 or newer; try: make serve PYTHON=python3.12")'
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); echo "Python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.made requirements.txt
	@echo "Installing requirements.txt ..."
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@echo "Installing requirements-dev.txt ..."
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed requirements-docs.txt
	@echo "Installing requirements-docs.txt ..."
	@$(PIP_INSTALL) -r requirements-docs.txt
	@touch $@

docs/site/node_modules/.installed: docs/site/package-lock.json
	@command -v npm >/dev/null || { echo "npm fetches what draws the diagrams; on Debian: apt-get install npm" >&2; exit 1; }
	@echo "Installing docs/site/package-lock.json ..."
	@cd docs/site && npm ci --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

$(VENV)/.installed-simulation: $(VENV)/.installed-dev requirements-simulation.txt
	@echo "Installing requirements-simulation.txt ..."
	@$(PIP_INSTALL) -r requirements-simulation.txt
	@touch $@

$(VENV)/.installed-supply: $(VENV)/.installed-dev requirements-supply.txt
	@echo "Installing requirements-supply.txt ..."
	@$(PIP_INSTALL) -r requirements-supply.txt
	@touch $@

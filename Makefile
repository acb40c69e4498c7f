# Every target first creates what it needs: an environment in .venv from the locked requirements.
PYTHON ?= python3
REPLICAS ?= 2
TERRAFORM ?= terraform
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := contracts ml_models producer_api consumer_worker
EDITABLE := $(foreach package,$(PACKAGES),--editable ./$(package))
INSTALL := deploy/environment.py $(VENV)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--only-binary :all:
COMPILE_IMAGE := $(COMPILE) --constraint requirements.lock \
	$(foreach package,contracts ml-models producer-api consumer-worker,--no-emit-package retainwise-$(package))
COMPILE_PACKAGES := $(COMPILE) \
	$(foreach package,contracts ml-models producer-api consumer-worker,--no-emit-package retainwise-$(package)) \
	$(foreach package,$(PACKAGES),$(package)/pyproject.toml)

CONSOLE := producer_api/console
VENDORED := producer_api/src/producer_api/console/vendor

# Without its bytecode a service takes three times as long to start, and the tests start a hundred of them.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo run test check-files check-faults check-api check-clients check-contracts check-console check-deploy \
	build console lint types bench bench-scoring bench-consumer bench-upload bench-api train migrate openapi lock licences schemas clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## Score the sample file end to end, or yours: make demo FILE=customers.csv
	@$(BIN)/python -m deploy.local demo $(if $(FILE),--file "$(FILE)")

run: $(VENV)/.run ## Run the whole system on this machine: make run REPLICAS=2
	@$(BIN)/python -m deploy.local run --replicas $(REPLICAS)

test: $(VENV)/.dev ## Run all tests, against a real PostgreSQL and a real SQS/S3 emulator
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check-files: $(VENV)/.dev ## Score a corpus of odd customer files: each gets the right scores or a clear refusal
	@$(BIN)/python -m tests.files

check-api: $(VENV)/.dev ## Run the API's slow tests against the local stack
	@$(BIN)/python -m tests.api $(foreach name,$(ONLY),--only $(name))

check-clients: $(VENV)/.dev ## Generate clients in TypeScript and Python, check their types, and walk the whole flow
	@$(BIN)/python -m tests.api --only clients

check-console: $(VENV)/.dev console ## Check the console in Chromium: flows, keyboard, accessibility, policy, pictures
	@$(BIN)/python -m tests.browser.chromium
	@$(BIN)/python -m tests.browser $(foreach name,$(ONLY),--only $(name))

console: $(CONSOLE)/node_modules/.package-lock.json ## Check the console's types and arithmetic, and that its libraries are as published
	@npm --prefix $(CONSOLE) run --silent vendor
	@git diff --exit-code --stat -- $(VENDORED) || { echo "$(VENDORED) was not as the packages are: commit it if that is meant"; exit 1; }
	@npm --prefix $(CONSOLE) run --silent schema >/dev/null
	@npm --prefix $(CONSOLE) run --silent types
	@npm --prefix $(CONSOLE) test --silent

lint: $(VENV)/.dev ## Check style, formatting and the imports between packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(VENV)/.dev ## Check types with mypy, strict
	@$(BIN)/mypy

check-deploy: $(VENV)/.dev ## Prove the deployment without an AWS account: wiring, faults, permissions, images
	@$(BIN)/python -m deploy.checks --terraform "$(TERRAFORM)" $(foreach name,$(ONLY),--only $(name))

check-faults: $(VENV)/.dev ## Break every part while it works: nothing is lost, doubled, stopped or shown
	@$(BIN)/python -m tests.faults $(foreach name,$(ONLY),--only $(name))

check-contracts: $(VENV)/.dev ## Try the contracts as other teams use them, and compare them with each release
	@$(BIN)/python -m tests.contracts

build: $(VENV)/.dev ## Build the wheel and sdist of the contracts, each tried in an empty environment
	@$(BIN)/python -m tests.contracts.distribution dist

bench: bench-scoring bench-consumer bench-upload bench-api ## Run all benchmarks

bench-scoring: $(VENV)/.dev ## Measure scoring 1,000,000 customers, sampled from DATA=telco.csv if given
	@$(BIN)/python -m tests.benchmarks.scoring $(if $(DATA),--data "$(DATA)")

bench-consumer: $(VENV)/.dev ## Measure the consumer against a queue with 15 ms per request
	@$(BIN)/python -m tests.benchmarks.consumer

bench-api: $(VENV)/.dev ## Measure the API beside FastAPI with SQLAlchemy and a bare aiohttp handler
	@$(BIN)/python -m tests.benchmarks.api

bench-upload: $(VENV)/.dev ## Measure the memory that a 500 MB upload takes
	@$(BIN)/python -m tests.benchmarks.upload_memory

train: $(VENV)/.dev ## Train, validate and export the model: make train DATA=telco.csv
	@$(BIN)/python -m ml_models.training $(if $(DATA),--data "$(DATA)")

migrate: $(VENV)/.run ## Migrate a database to the newest schema: make migrate DATABASE_URL=postgresql://…
	@$(BIN)/python -m alembic --config deploy/migrations/alembic.ini upgrade head

openapi: $(VENV)/.dev ## Regenerate the API's OpenAPI document from its route table
	@$(BIN)/python -m producer_api.http.openapi

schemas: $(VENV)/.run ## Regenerate the published forms of the contracts: JSON Schema, AsyncAPI, OpenAPI, TypeScript
	@$(BIN)/python -m retainwise_contracts.schemas

lock: $(VENV)/.dev ## Regenerate the lock files from the packages' pyproject.toml
	@$(COMPILE) deploy/bootstrap.in --output-file deploy/bootstrap.lock
	@$(COMPILE) deploy/local/emulator.in --output-file deploy/local/emulator.lock
	@$(COMPILE_PACKAGES) --group pyproject.toml:local --extra runtime --output-file requirements.lock
	@$(COMPILE_PACKAGES) --group pyproject.toml:local --group pyproject.toml:dev --all-extras \
		--constraint requirements.lock --output-file requirements-dev.lock
	@$(COMPILE) deploy/checks/tools.in --output-file deploy/checks/tools.lock
	@$(COMPILE_IMAGE) deploy/images/build.in --output-file deploy/images/build.lock
	@$(COMPILE_IMAGE) deploy/images/migrate.in --output-file deploy/images/migrate.lock
	@$(COMPILE_IMAGE) producer_api/pyproject.toml --output-file deploy/images/producer.lock
	@$(COMPILE_IMAGE) consumer_worker/pyproject.toml --output-file deploy/images/worker.lock
	@$(MAKE) --no-print-directory licences

licences: $(VENV)/.dev ## Regenerate deploy/licences.csv from what the lock files install
	@$(BIN)/python -m deploy.licences

clean: ## Remove the environments, caches and the local stack's state
	rm -rf $(VENV) .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(CONSOLE)/node_modules/.package-lock.json: $(CONSOLE)/package-lock.json
	@command -v npm >/dev/null || { echo "npm was not found: install Node.js 20 or newer"; exit 1; }
	@npm --prefix $(CONSOLE) ci --ignore-scripts --silent
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or newer, or choose one with PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) --version): Python 3.11 or newer is needed, choose one with PYTHON=…"; exit 1; }
	@$(PYTHON) $(INSTALL)

# The packages are installed editable and without their dependencies, which the lock has already.
$(VENV)/.run: requirements.lock deploy/bootstrap.lock $(foreach package,$(PACKAGES),$(package)/pyproject.toml) | $(BIN)/python
	@echo "Installing the services and the local stack (once)…"
	@$(BIN)/python $(INSTALL) --lock requirements.lock $(EDITABLE)
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing the test, lint and training tools (once)…"
	@$(BIN)/python $(INSTALL) --lock requirements-dev.lock
	@touch $@

# Every target makes what it needs first: an environment in .venv from the locked requirements, nothing else.
PYTHON ?= python3
REPLICAS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := contracts ml_models producer_api consumer_worker
EDITABLE := $(foreach package,$(PACKAGES),--editable ./$(package))
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	$(foreach package,contracts ml-models producer-api consumer-worker,--no-emit-package retainwise-$(package)) \
	$(foreach package,$(PACKAGES),$(package)/pyproject.toml)

# Without its bytecode a service takes three times as long to start, and the tests start a hundred of them.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo run test lint types check-faults bench bench-scoring bench-consumer bench-upload train migrate lock schemas clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## Score a sample file end to end, or your own: make demo FILE=customers.csv
	@$(BIN)/python -m deploy.local demo $(if $(FILE),--file "$(FILE)")

run: $(VENV)/.run ## Keep the whole system running here: make run REPLICAS=2
	@$(BIN)/python -m deploy.local run --replicas $(REPLICAS)

test: $(VENV)/.dev ## Run all tests, against a real PostgreSQL and a real SQS/S3 emulator
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/.dev ## Check style, and that imports between packages run one way
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(VENV)/.dev ## Check types strictly
	@$(BIN)/mypy

check-faults: $(VENV)/.dev ## Break every part while it works: nothing is lost, doubled, stopped or shown
	@$(BIN)/python -m tests.faults $(foreach name,$(ONLY),--only $(name))

bench: bench-scoring bench-consumer bench-upload ## Measure scoring, consumer and upload, beside what they are compared to

bench-scoring: $(VENV)/.dev ## Measure scoring 1,000,000 customers, or a file's resampled: DATA=telco.csv
	@$(BIN)/python -m tests.benchmarks.scoring $(if $(DATA),--data "$(DATA)")

bench-consumer: $(VENV)/.dev ## Measure the consumer on a queue with 15 ms a request
	@$(BIN)/python -m tests.benchmarks.consumer

bench-upload: $(VENV)/.dev ## Measure the memory an upload of 500 MB takes
	@$(BIN)/python -m tests.benchmarks.upload_memory

train: $(VENV)/.dev ## Train, validate and export the model: make train DATA=telco.csv
	@$(BIN)/python -m ml_models.training $(if $(DATA),--data "$(DATA)")

migrate: $(VENV)/.run ## Bring a database to the newest schema: make migrate DATABASE_URL=postgresql://…
	@$(BIN)/python -m alembic --config deploy/migrations/alembic.ini upgrade head

schemas: $(VENV)/.run ## Write the messages' JSON schemas anew from their classes
	@$(BIN)/python -m retainwise_contracts.schemas

lock: $(VENV)/.dev ## Write the lock files anew from the packages' pyproject.toml
	@$(COMPILE) --group pyproject.toml:local --extra runtime --output-file requirements.lock
	@$(COMPILE) --group pyproject.toml:local --group pyproject.toml:dev --all-extras \
		--constraint requirements.lock --output-file requirements-dev.lock

clean: ## Remove the environments and the local stack's state
	rm -rf $(VENV) .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or newer, or name one with PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) --version): Python 3.11 or newer is needed, name one with PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The packages are installed editable, without a look at any registry: all they need is in the lock.
$(VENV)/.run: requirements.lock $(foreach package,$(PACKAGES),$(package)/pyproject.toml) | $(BIN)/python
	@echo "installing what the services and the local stack need (once)…"
	@$(PIP_INSTALL) --no-compile --require-hashes --requirement requirements.lock
	@$(PIP_INSTALL) --no-compile --no-deps --no-build-isolation $(EDITABLE)
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "installing what the tests, the checks and the training need (once)…"
	@$(PIP_INSTALL) --no-compile --require-hashes --requirement requirements-dev.lock
	@touch $@

.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?= migrator
BASE_DIGEST ?=
EXTRAS ?=
IMAGE_OPTIONS ?=
WORKERS ?= 3
SEED ?= 1
COUNT ?= 200
NEWEST_PYTHON ?= python3.13
SERVERS := $(addprefix tests/integration/test_,$(addsuffix .py,runner pipeline concurrently lease resume own_messages roles statement_monitor))
PART := tests/unit $(SERVERS)
IMAGE_ARGS = \
	--build-arg BASE_DIGEST=$(BASE_DIGEST) \
	--build-arg EXTRAS="$(EXTRAS)" \
	--build-arg VERSION=$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
	--build-arg REVISION=$(shell git describe --always --dirty --abbrev=40 --exclude '*') \
	--build-arg CREATED=$(shell TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ) \
	--build-arg SOURCE_DATE_EPOCH=$(shell git log -1 --format=%ct)

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: run
run: $(VENV)/.installed ## Apply migrations/ to a private PostgreSQL
	@MIGRATOR_DATABASE_URL=$${MIGRATOR_DATABASE_URL:-embedded:.embedded} $(BIN)/python entrypoint.py $(ARGS)

.PHONY: test
test: $(VENV)/.installed ## Run the whole suite, with coverage
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term $(PYTEST_ARGS)

.PHONY: test-servers
test-servers: $(VENV)/.installed ## Run the tests that need a server on PostgreSQL 14, a part on 15 to 17
	$(BIN)/python -m pytest -n $(WORKERS) tests/integration --postgres=14 $(PYTEST_ARGS)
	for major in 15 16 17; do \
		$(BIN)/python -m pytest -n $(WORKERS) $(SERVERS) --postgres=$$major $(PYTEST_ARGS) || exit; \
	done

.PHONY: test-lowest
test-lowest: build/lowest/.installed ## Run a part of the tests with the lowest versions that we allow
	build/lowest/bin/python -m pytest -n $(WORKERS) $(PART) $(PYTEST_ARGS)

.PHONY: test-newest
test-newest: build/newest/.installed ## Run a part of the tests on NEWEST_PYTHON
	build/newest/bin/python -m pytest -n $(WORKERS) $(PART) $(PYTEST_ARGS)

build/lowest/.installed: requirements-dev.lock requirements-lowest.lock
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	build/lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-lowest.lock
	@touch $@

build/newest/.installed: requirements-dev.lock
	$(NEWEST_PYTHON) -m venv build/newest
	build/newest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: mutate
mutate: $(VENV)/.installed ## Try mutants of the core: SEED=1 COUNT=200, for hours
	@nice -n 10 $(BIN)/python -m tests.mutation $(SEED) $(COUNT) $(WORKERS)

.PHONY: bench
bench: $(VENV)/.installed ## Compare with goose, dbmate and psql, for half an hour
	@$(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

.PHONY: lint
lint: $(VENV)/.installed ## Check format, style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.installed ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lock
lock: ## Renew the lock files (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra binary pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group pyproject.toml:sbom -o requirements-sbom.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group pyproject.toml:scan -o requirements-scan.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --resolution lowest-direct --extra binary --extra aws --extra gcp --extra azure pyproject.toml -o requirements-lowest.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --all-extras --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	for extra in aws gcp azure; do \
		uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra $$extra -c requirements-dev.lock pyproject.toml -o requirements-$$extra.lock || exit; \
	done

.PHONY: image
image: ## Build the image; BASE_DIGEST=sha256:… pins its base, EXTRAS="aws gcp azure" adds clouds
	docker build $(IMAGE_OPTIONS) --tag $(IMAGE) $(IMAGE_ARGS) .

.PHONY: base-digest
base-digest: ## Print the digest of the newest base image (needs buildx and a registry)
	@docker buildx imagetools inspect debian:trixie-slim --format '{{.Manifest.Digest}}'

.PHONY: scan
scan: $(VENV)/.installed ## Look for known vulnerabilities in the image
	@$(BIN)/python -m tests.image.scan $(IMAGE)

# `make run` and `make test` do all of their own set-up, in .venv.

PYTHON ?= python3
CONFIG ?= config.example.yaml
HOST ?= 127.0.0.1
PORT ?= 4000
# More arguments for pip. On Linux PyPI's torch is the one for NVIDIA cards, several gigabytes; for the processor's:
#   make test PIP_ARGS='--extra-index-url https://download.pytorch.org/whl/cpu'
PIP_ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(PIP_ARGS)

.PHONY: run test acceptance chaos bench bench-install bench-smoke bench-kokoro check format lock clean

run: .venv/base
	$(BIN)/media-gateway serve --config $(CONFIG) --host $(HOST) --port $(PORT)

test: .venv/dev
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --cov --cov-report=term --cov-fail-under=90

# Real clients, each in an environment of its own in .acceptance/, against a live gateway; writes docs/clients.md.
# `.venv/bin/python -m tests.acceptance.run --fresh` takes the newest versions of them.
acceptance: .venv/dev
	$(BIN)/python -m tests.acceptance.run

# Minutes: the gateway killed at every boundary ten times over, and 2,000 calls over lines that lose answers.
chaos: .venv/dev
	$(BIN)/python -m bench.kill_points --seeds 10
	$(BIN)/python -m bench.lost_answers --calls 2000

# The gateway beside nginx, LiteLLM and Portkey, as far as they are there: about 20 minutes, on a machine that does nothing
# else. Needs wrk and nginx (apt install wrk nginx-light); the other two are installed by bench-install.
bench: .venv/dev
	$(BIN)/python -m bench.compare --write

bench-install: .venv/dev
	$(BIN)/python -m bench.compare --install

# Counts, which no other load on the machine changes, against those in bench/baseline.json.
bench-smoke: .venv/dev
	$(BIN)/python -m bench.smoke

bench-kokoro: .venv/dev
	$(BIN)/python -m bench.kokoro --json bench/KOKORO.json
	$(BIN)/python -m bench.compare --render

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The versions that are installed everywhere, for every supported Python. Review the difference, run the tests, commit.
# torch stays where the tests ran last: each release is large, and the voices' timing was measured on this one.
lock: .venv/dev
	$(PIP) uv
	printf 'torch==2.13.0\n' > .venv/held.txt
	$(BIN)/uv pip compile --upgrade --quiet --universal --python-version 3.11 --all-extras --no-annotate --no-header \
		--constraint .venv/held.txt --output-file constraints.txt pyproject.toml

clean:
	rm -rf .venv .acceptance .mypy_cache .ruff_cache .coverage dist

.venv/base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/dev: .venv/base
	$(PIP) --editable '.[dev,guards,kokoro,otel,pii]'
	touch $@

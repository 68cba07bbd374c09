# The two commands of the README are `make demo` and `make test`. Each target
# first sees that .venv fits the tree, so that any of them can be the first.
#
#   make PYTHON=/path/to/python3.12 …   chooses the interpreter for .venv

# Only relative paths: the tree may lie in a directory with spaces in its name,
# which make cannot handle in prerequisites.
BIN := .venv/bin
DEMO := $(if $(wildcard .venv/fits),.venv,.venv-demo)
ARGS ?=

# Compiled modules are kept: tests start hundreds of processes of ours.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv venv-demo venv-keystone demo test test-all browser keystone cluster torture serve lint types \
        layers docs bench bench-check figures \
        format clean distclean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: venv-demo  ## see it work: a server, the commands and the SDK, in half a minute
	@$(DEMO)/bin/python demo/demo.py $(ARGS)

serve: venv-demo  ## run a server that keeps its messages (under $XDG_STATE_HOME)
	@echo "Try it in another terminal: $(DEMO)/bin/zaqar message post orders 'Tea for two'"
	@OS_TRANSPORT__MIN_MESSAGE_TTL=1 OS_TRANSPORT__MIN_CLAIM_TTL=1 OS_TRANSPORT__MIN_CLAIM_GRACE=1 \
	    $(DEMO)/bin/zaqarserver $(ARGS)

# The checks need one core. The other compiles the tests meanwhile, once for all workers.
test: venv venv-keystone  ## every check and every test; the last line is pytest's
	@$(BIN)/pytest --collect-only -qq >/dev/null 2>&1 & \
	failed=; \
	for check in lint types layers docs; do \
	    $(MAKE) --no-print-directory $$check || failed="$$failed $$check"; \
	done; \
	wait; \
	test -z "$$failed" || echo "== failed so far:$$failed (the tests follow)"; \
	echo "== tests"; \
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS) && test -z "$$failed"

test-all: venv  ## for the night: make test with all combinations, more examples, and clusters
	@$(MAKE) --no-print-directory test ARGS="--thorough $(ARGS)"
	@$(MAKE) --no-print-directory cluster

browser: venv  ## a web page in a headless Chromium, against a real server
	@$(BIN)/pytest server/tests/browser $(ARGS)

keystone: venv venv-keystone  ## what needs a real Keystone, against one
	@$(BIN)/pytest server/tests/keystone zaqarclient/tests/keystone $(ARGS)

cluster: venv  ## stores of several servers: a Redis cluster, and Sentinels
	@$(BIN)/pytest server/tests/redis/cluster $(ARGS)

torture: venv  ## break whole deployments for ten minutes and check every promise
	@$(BIN)/python testing/torture_scenarios.py $(ARGS)
	@$(BIN)/python testing/torture_moves.py
	@$(BIN)/python testing/torture_consumers.py
	@$(BIN)/python testing/torture_consumers.py --store redis

lint: venv  ## ruff: rules and format
	@echo "== lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: venv  ## mypy --strict
	@echo "== types"
	@$(BIN)/mypy
	@$(BIN)/mypy .ci/venv.py benchmarks demo doc/source/_ext
	@$(BIN)/mypy testing/keystone_template.py

layers: venv  ## import-linter: who may import whom
	@echo "== layers"
	@$(BIN)/lint-imports --no-logo

docs: venv  ## build the documentation in doc/build/html; a warning is an error
	@echo "== docs"
	@$(BIN)/sphinx-build -q -W --keep-going -n -b html doc/source doc/build/html
	@echo "doc/build/html/index.html"

bench: venv  ## measure this machine: load, WebSockets, growth, start-up cost
	@$(BIN)/python benchmarks/load.py $(ARGS)
	@$(BIN)/python benchmarks/frames.py
	@$(BIN)/python benchmarks/push.py
	@$(BIN)/python benchmarks/outbox.py
	@$(BIN)/python benchmarks/scale.py
	@$(BIN)/python benchmarks/sdk.py
	@$(BIN)/python benchmarks/startup.py

bench-check: venv  ## check ratios of speed that hold on any machine: half a minute
	@$(BIN)/python benchmarks/check.py

figures: venv  ## measure all tables of the documentation anew: a quarter of an hour
	@$(BIN)/python benchmarks/matrix.py --save $(ARGS)

format: venv  ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

venv:  ## build or refresh .venv; the other targets do it when needed
	@sh .ci/python .ci/venv.py

# Users install no tools of developers; who has them needs nothing more.
venv-demo:
	@sh .ci/python .ci/venv.py $(if $(wildcard .venv/fits),main,demo)

# Where it cannot be built, the tests that need it are skipped, or fail: see conftest.py.
venv-keystone:
	@sh .ci/python .ci/venv.py keystone || echo "== going on without Keystone"

clean:  ## remove what was built, keep .venv
	rm -rf build server/build doc/build dist server/dist .mypy_cache .ruff_cache \
	    .pytest_cache .hypothesis .import_linter_cache
	find . -path './.venv*' -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean  ## remove .venv and .venv-keystone too
	rm -rf .venv .venv-keystone .venv-demo python_zaqarclient.egg-info server/zaqarserver.egg-info

# GridGate: every target makes the virtual environment that it needs.
#   make run     play the demo plant and run the gateway in front of it
#   make test    everything that must hold before a change is merged
#   make lint    the quick half of it
#   make bench   measure, each figure beside its budget or a peer (ARGS="modbus_poll start_10k" for some of them)
#   make figures the same, into the README and bench/FIGURES.md (ARGS="journal": this once more, beside what is there)
#   make soe     150,000 events to a master over 1,000 cuts of its link, and over kills of the server: none lost
#   make overload 50,000 changes/s for a minute, full journals, a crowd at every door: shed is counted and told (SECONDS=60)
#   make soak    every change and every command in everybody's books, through faults of every kind (MINUTES=60 SEED=7)
#   make fuzz104 a million mutated frames against the IEC 60870-5-104 station
#   make fuzzdnp3 a million mutated frames against the DNP3 outstation
#   make fuzzopcua a hundred thousand mutated messages against the OPC UA server
#   make lock    pin and hash all dependencies anew (config/locks)
#   make sbom    what make run installed, as a CycloneDX bill of materials (dist/gridgate.cdx.json)
#   make screenshots a picture of every page of the HMI on the demo plant, into hmi/screenshots
#   make clean   remove what was built and installed

PYTHON ?= python3
RUN_VENV := .venv-run
TEST_VENV := .venv-test
TOOL_VENV := .venv-tools
NODE_PEER := tests/peers/nodeopcua
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder
ARGS ?=
SECONDS ?= 60
REPORT ?= var/overload
MINUTES ?= 60
SEED ?= 0
# An environment that forbids it makes each of the thousand processes of the tests compile the gateway anew.
unexport PYTHONDONTWRITEBYTECODE
# The peer from npm is fetched beside the packages from PyPI.
MAKEFLAGS += --jobs=2
LOCK_ARGS := pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --quiet

# What `pip install .` packs: a change of any of it installs the gateway again.
PACKED := $(shell find gateway protocols hmi config pointmaps -type f -not -name '*.pyc' -not -path 'hmi/screenshots/*' 2>/dev/null)

.PHONY: run test lint bench figures overload soak fuzz104 fuzzdnp3 fuzzopcua soe screenshots lock sbom clean python

run: $(RUN_VENV)/installed
	$(RUN_VENV)/bin/gridgate demo config/demo/site.yaml $(ARGS)

# Both at once, since a type checker leaves the second core idle; what lint has to say stands below the tests.
test: $(TEST_VENV)/installed $(NODE_PEER)/installed
	@mkdir -p var
	@$(MAKE) --no-print-directory lint > var/lint.txt 2>&1 & lint=$$!; \
	$(TEST_VENV)/bin/pytest $(PYTEST_ARGS); tests=$$?; \
	wait $$lint; linted=$$?; cat var/lint.txt; \
	[ $$tests -eq 0 ] && [ $$linted -eq 0 ]

lint: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/ruff check .
	$(TEST_VENV)/bin/ruff format --check .
	$(TEST_VENV)/bin/mypy
	$(TEST_VENV)/bin/lint-imports

bench: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m bench $(ARGS)

figures: $(TEST_VENV)/installed
	mkdir -p var
	$(if $(ARGS),,rm -f var/bench-again.jsonl)
	-$(TEST_VENV)/bin/python -m bench $(ARGS) >$(if $(ARGS),> var/bench-again.jsonl, var/bench.jsonl)
	$(TEST_VENV)/bin/python -m bench.table var/bench.jsonl var/bench-again.jsonl

soe: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/gridgate selftest soe config/demo/site.yaml sldc-main --events 150000 --cuts 1000
	$(TEST_VENV)/bin/gridgate selftest soe config/demo/site.yaml sldc-main --events 150000 --cuts 200 --kills 50
	$(TEST_VENV)/bin/gridgate selftest soe config/demo/site.yaml rldc-main --events 150000 --cuts 1000
	$(TEST_VENV)/bin/gridgate selftest soe config/demo/site.yaml rldc-main --events 150000 --cuts 200 --kills 50

overload: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m tests.overload --seconds $(SECONDS) --report $(REPORT) $(ARGS)

soak: $(TEST_VENV)/installed $(NODE_PEER)/installed
	$(TEST_VENV)/bin/python -m tests.soak --minutes $(MINUTES) --seed $(SEED) --report var/soak $(ARGS)

fuzz104: $(TEST_VENV)/installed
	GRIDGATE_FUZZ104=1000000 $(TEST_VENV)/bin/pytest $(PYTEST_ARGS) --timeout=7200 \
	  tests/fuzz/test_iec104_fuzz.py tests/fuzz/test_iec104_conversations.py

fuzzdnp3: $(TEST_VENV)/installed
	GRIDGATE_FUZZDNP3=1000000 $(TEST_VENV)/bin/pytest $(PYTEST_ARGS) --timeout=7200 \
	  tests/fuzz/test_dnp3_conversations.py

fuzzopcua: $(TEST_VENV)/installed
	GRIDGATE_FUZZOPCUA=100000 $(TEST_VENV)/bin/pytest $(PYTEST_ARGS) --timeout=7200 tests/fuzz/test_opcua_fuzz.py

lock: $(TOOL_VENV)/installed
	$(TOOL_VENV)/bin/uv pip compile $(LOCK_ARGS) --extra pki -o config/locks/run.txt
	$(TOOL_VENV)/bin/uv pip compile $(LOCK_ARGS) --extra test -c config/locks/run.txt -o config/locks/test.txt

sbom: $(RUN_VENV)/installed $(TOOL_VENV)/installed
	mkdir -p dist
	sed "s/^dynamic = .*/version = \"$$($(RUN_VENV)/bin/gridgate --version | cut -d' ' -f2)\"/" pyproject.toml > dist/named.toml
	$(TOOL_VENV)/bin/cyclonedx-py environment $(RUN_VENV)/bin/python --pyproject dist/named.toml --mc-type application \
	  --sv 1.6 --of JSON --output-reproducible -o dist/gridgate.cdx.json
	@rm dist/named.toml

screenshots: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m tests.screenshots hmi/screenshots

clean:
	rm -rf $(NODE_PEER)/node_modules $(NODE_PEER)/installed
	rm -rf $(RUN_VENV) $(TEST_VENV) $(TOOL_VENV) build dist *.egg-info var
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

# `build` is removed first: setuptools would pack modules from it that are long gone.
$(RUN_VENV)/installed: pyproject.toml $(PACKED) | python
	@test -x $(RUN_VENV)/bin/python || $(PYTHON) -m venv $(RUN_VENV)
	rm -rf build
	$(RUN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r config/locks/run.txt \
	  || echo "the locked releases cannot be had here: taking what pyproject.toml allows"
	$(RUN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

$(TEST_VENV)/installed: pyproject.toml | python
	@test -x $(TEST_VENV)/bin/python || $(PYTHON) -m venv $(TEST_VENV)
	@$(TEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5' \
	  && $(TEST_VENV)/bin/uv pip install --quiet --compile-bytecode --python $(TEST_VENV)/bin/python -e '.[test]' \
	  || { echo "uv cannot install the packages here: pip does, which takes a minute longer"; \
	  $(TEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test]'; }
	@touch $@

$(TOOL_VENV)/installed: | python
	@test -x $(TOOL_VENV)/bin/python || $(PYTHON) -m venv $(TOOL_VENV)
	$(TOOL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5' 'cyclonedx-bom>=7,<8'
	@touch $@

# The independent OPC UA client; tests that need it say so when it is absent.
$(NODE_PEER)/installed: $(NODE_PEER)/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix $(NODE_PEER) --ignore-scripts --no-audit --no-fund --silent \
	  || echo "npm could not install node-opcua-client: its tests are skipped"; \
	else echo "no npm here: the tests with node-opcua are skipped"; fi
	@touch $@

python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "No $(PYTHON) here. Debian and Ubuntu: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "GridGate needs Python 3.11 or later; this is $$($(PYTHON) --version)."; \
	  echo "If a later one is installed under another name: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

# `make demo` and `make test` need Python 3.11 or later and nothing else; each makes what it uses.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
INSTALL := install --quiet --disable-pip-version-check --no-deps --require-hashes
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
KEEP    ?=
T       ?=
K       ?=
QUICK   := -n 2 tests/wire tests/journal tests/test_retry.py tests/store/sqlite tests/store/test_store.py tests/e2e/test_line.py -k "not postgres"
SBOM    ?= dist
PREFIX  ?= /opt/gatepost
DEST    := $(abspath $(PREFIX))
HOUSE   := dist/wheelhouse
WHEELS_FOR ?= 3.11 3.12 3.13
FRONTEND := $(wildcard frontend/*.* frontend/src/*.* frontend/src/*/*.*)

# Tests start thousands of processes; each would compile the sources again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test quick dev install wheelhouse lint format bench screenshots soak lock sbom audit clean

help: ## say what can be typed here
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.run ## terminals push, the receiver goes away and comes back, and a table says what was lost
	@$(BIN)/python -m gatepost.simulator.demo.run $(if $(KEEP),--keep)

test: $(VENV)/.dev $(VENV)/.debian-test $(if $(T)$(K),,lint) ## every test; T=tests/store K=name: some of them
	$(BIN)/python -m pytest $(T) $(if $(K),-k "$(K)")

quick: $(VENV)/.dev ## the pure parts, the journal, the store on SQLite and one event from end to end
	$(BIN)/python -m pytest $(QUICK)

dev: $(VENV)/.dev ## a receiver and terminals that push; what is changed is loaded again
	@$(BIN)/python dev.py

lint: $(VENV)/.dev ## format, lint, types and layers, checked
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/node frontend/node_modules/typescript/bin/tsc --project frontend

format: $(VENV)/.dev ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.bench $(VENV)/.debian-test $(VENV)/.debian-bench ## measure against what people would use instead; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

screenshots: $(VENV)/.dev $(VENV)/.debian-test ## every page of the console, in both languages and themes: into docs/images what the documentation shows, else into dist
	$(BIN)/python -m tests.browser.screenshots

soak: $(VENV)/.dev $(VENV)/.debian-test ## the campaigns at full length
	$(BIN)/python -m pytest -m soak --timeout=3600 -n 0

install: $(VENV)/.run ## the program with all extras into PREFIX (default /opt/gatepost), a unit of systemd, settings and the guides with it
	@rm -rf dist/install && $(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist/install .
	$(PYTHON) -m venv $(DEST)
	$(DEST)/bin/pip $(INSTALL) -r requirements/install.lock
	$(DEST)/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/install/*.whl
	@install -D -m 0644 deploy/gatepost.toml $(DEST)/etc/gatepost.toml.example
	@[ -e $(DEST)/etc/gatepost.toml ] || cp $(DEST)/etc/gatepost.toml.example $(DEST)/etc/gatepost.toml
	@mkdir -p $(DEST)/lib/systemd/system && sed -e 's#/opt/gatepost#$(DEST)#g' -e 's#/etc/gatepost/gatepost.toml#$(DEST)/etc/gatepost.toml#g' \
		deploy/gatepost.service > $(DEST)/lib/systemd/system/gatepost.service
	@rm -rf $(DEST)/docs && cp -R docs $(DEST)/docs
	@$(DEST)/bin/gatepost --version
	@echo "settings: $(DEST)/etc/gatepost.toml; to run it as a service: systemctl enable --now $(DEST)/lib/systemd/system/gatepost.service"
	@for place in $(DEST) $$(readlink -f $(DEST)/bin/python); do case $$place in /home/*|/root/*|/run/user/*|/tmp/*) \
		echo "the service cannot read $$place: choose a PREFIX and a Python (PYTHON=/usr/bin/python3) outside of home folders and /tmp";; esac; done

wheelhouse: $(VENV)/.run ## wheels of gatepost and of all it needs, for machines without internet, into dist/wheelhouse
	@rm -rf $(HOUSE) && mkdir -p $(HOUSE)
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir $(HOUSE) .
	@cp requirements/install.lock $(HOUSE)
	@for version in $(WHEELS_FOR); do for machine in x86_64 aarch64; do \
		$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: --dest $(HOUSE) \
			--python-version $$version $(foreach tag,2_17 2_24 2_28 2_34,--platform manylinux_$(tag)_$$machine) --platform manylinux2014_$$machine \
			-r requirements/install.lock || exit 1; done; done
	@echo "on the other machine: python3 -m venv gatepost && gatepost/bin/pip install --no-index --find-links wheelhouse --require-hashes -r wheelhouse/install.lock && gatepost/bin/pip install --no-index --no-deps wheelhouse/gatepost-*.whl"

lock: $(VENV)/.run ## resolve the dependencies again, with hashes and without any index address
	$(BIN)/pip $(INSTALL) -r requirements/uv.lock
	$(BIN)/python requirements/lock.py

sbom: $(VENV)/.dev ## what it is made of, as CycloneDX, into dist/
	@mkdir -p $(SBOM)
	@$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o $(SBOM)/python.cdx.json requirements/run.lock
	@cd frontend && PATH="$(abspath $(BIN)):$$PATH" npm sbom --sbom-format=cyclonedx --omit=dev --package-lock-only > "$(abspath $(SBOM))/console.cdx.json"

audit: $(VENV)/.audit ## look for known vulnerabilities in it; asks servers on the internet
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement requirements/run.lock
	cd frontend && PATH="$(abspath $(BIN)):$$PATH" npm audit --omit=dev --package-lock-only

clean: ## remove everything that the targets above made
	rm -rf $(VENV) build dist tests/node_red/node_modules .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "gatepost needs Python 3.11 or later; call make with PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: requirements/run.lock pyproject.toml hatch_build.py $(FRONTEND) | $(VENV)/.python
	$(BIN)/pip $(INSTALL) -r requirements/run.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock tests/node_red/package-lock.json $(VENV)/.run
	$(BIN)/pip $(INSTALL) -r requirements/dev.lock
	cd tests/node_red && NODE_OPTIONS=--use-system-ca PATH="$(abspath $(BIN)):$$PATH" timeout 300 npm ci --no-audit --no-fund --ignore-scripts --no-update-notifier --loglevel=error
	@touch $@

$(VENV)/.bench: requirements/bench.lock $(VENV)/.dev
	$(BIN)/pip $(INSTALL) -r requirements/bench.lock
	@touch $@

$(VENV)/.audit: requirements/audit.lock $(VENV)/.dev
	$(BIN)/pip $(INSTALL) -r requirements/audit.lock
	@touch $@

# $(call debian,PROGRAMS,PACKAGES): install the packages unless every program is there already.
debian = @PATH="$$PATH:/usr/sbin:/sbin"; for program in $(1); do command -v $$program >/dev/null || missing=1; done; [ -z "$$missing" ] || \
	{ $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $(2) >/dev/null; }

# Programs that no Python wheel carries: a tracer, a slow-request attacker, a browser, an MQTT broker, etcd, a proxy, checks of units and of Prometheus' rules, and what the documentation's snippets use; for the benchmarks a load generator and peers.
$(VENV)/.debian-test: | $(VENV)/.python
	$(call debian,strace slowhttptest chromium curl openssl cc mosquitto_passwd etcd nginx systemd-analyze promtool,strace slowhttptest chromium curl openssl gcc libc6-dev mosquitto etcd-server nginx-light systemd prometheus fonts-noto-cjk)
	@touch $@

$(VENV)/.debian-bench: | $(VENV)/.python
	$(call debian,wrk nginx syslog-ng,wrk nginx-light syslog-ng-core syslog-ng-mod-http)
	@touch $@

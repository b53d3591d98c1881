# Everything is set up by the targets themselves: apt packages when root (else it says what to install), and .venv.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEMS ?= 5
CPES ?= 5
APT_BUILD := python3 python3-venv python3-dev gcc libsystemd-dev pkg-config libudev1
APT_RUN := postgresql-15|postgresql libqmi-utils iproute2 util-linux curl
APT_TEST := bind9-dnsutils chromium dbus nftables procps prometheus systemd-container udev umockdev
APT_DEB := build-essential debhelper git libsystemd-dev lintian pkg-config|pkgconf po-debconf python3 python3-dev python3-venv
APT_LAB := cpio debian-archive-keyring e2fsprogs mmdebstrap qemu-system-x86 qemu-utils systemd-container util-linux

.SECONDARY:
.PHONY: help root demo test check lab-image test-vm test-acs bench deb clean format lock docs
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.apt-%: packaging/apt-get-missing
	@mkdir -p $(VENV)
	@packaging/apt-get-missing $(patsubst %,'%',$(APT_BUILD) $(APT_RUN) $(if $(filter test,$*),$(APT_TEST) $(APT_DEB) $(APT_LAB)))
	@touch $@

$(VENV)/.installed-%: requirements-dev.lock pyproject.toml | $(VENV)/.apt-%
	@echo "Installing the Python packages into $(VENV) …"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

root:
	@[ "$$(id -u)" -eq 0 ] || { echo "make demo must run as root: it makes network and mount namespaces, gives each proxy a uid of its own," \
	    "and sets rules and routes in them. As a normal user, \`make check\` and most of \`make test\` work." >&2; exit 1; }

demo: root $(VENV)/.installed-demo ## MODEMS=5 emulated modems and CPES=5 emulated CPEs, live
	$(BIN)/lastmile demo --modems $(MODEMS) --cpes $(CPES)

test: $(VENV)/.installed-test ## every test
	$(BIN)/pytest

lab-image: $(VENV)/.installed-test ## the image of the lab's virtual machines (docs/lab.md)
	$(BIN)/python -m tests.lab image

test-vm: lab-image ## the lab's long form: 30 modems in a virtual machine
	$(BIN)/pytest tests/lab -m vm_long

test-acs: $(VENV)/.installed-test ## the ACS live: workers killed, hostile CPEs, PostgreSQL restarted
	$(BIN)/pytest tests/acs_live -m acs_live

check: $(VENV)/.installed-test ## format, lint, types, layers, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(VENV)/.installed-test ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-test ## the figures of docs/benchmarks.md
	$(BIN)/python -m tests.bench

deb: ## the Debian package, in dist/
	@packaging/apt-get-missing $(patsubst %,'%',$(APT_DEB))
	packaging/build-deb dist
	lintian --fail-on error dist/lastmile_$$(sed -nE 's/^__version__ = "([^"]+)"$$/\1/p' agent/version.py)_*.changes

docs: $(VENV)/.installed-test ## regenerate docs/configuration.md
	$(BIN)/python -m agent.core.settings.reference > docs/configuration.md

lock: ## renew the lock files (needs uv)
	uv pip compile --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --generate-hashes --no-header --upgrade pyproject.toml -o requirements.lock
	uv pip compile --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --generate-hashes --no-header --upgrade pyproject.toml --all-extras --group dev -o requirements-dev.lock
	uv pip compile --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --generate-hashes --no-header --upgrade packaging/requirements-build.in -o packaging/requirements-build.lock

clean: ## remove what the targets made
	@if [ -d .demo ] && [ -x $(BIN)/lastmile ]; then $(BIN)/lastmile demo --purge; fi
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

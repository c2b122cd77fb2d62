# Everything here needs python3, make and a Rust toolchain; the rest is set up in .tools and .venv.
UV := .tools/bin/uv
INSTALL := $(UV) pip install --quiet --python .venv --constraint constraints.txt --editable
RUN := $(UV) run --no-sync
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench docs clean pins

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

$(UV):
	@python3 -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv

.venv: | $(UV)
	@$(UV) venv --quiet --python python3 .venv

# Installing is a no-op unless pyproject.toml, the pins or the Rust sources changed ([tool.uv] cache-keys).
demo: | .venv ## Play a whole phone call, offline (ARGS="--backend trio", ARGS=--help)
	@echo "Setting up: packages and the Rust extension (about 20 s the first time)"
	@$(INSTALL) '.[cli,local,testing,trio]'
	@$(RUN) trunkline demo $(ARGS)

test: | .venv ## Run the tests of Rust and Python (ARGS="-k twilio")
	@$(INSTALL) '.[cli,local,testing,trio]' --group test --group oracles
	cargo test --quiet --workspace
	$(RUN) pytest $(ARGS)

lint: | .venv ## Check style, types, stubs, imports and the Rust code
	@$(INSTALL) '.[cli,local,testing,trio]' --group dev
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) stubtest trunkline._native._rust
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings

bench: | .venv ## Measure speed and quality beside other libraries, into docs/benchmarks
	@$(INSTALL) '.[testing,trio]' --group bench
	@mkdir -p target
	cargo bench --quiet --package trunkline-benches | tee target/benches.txt
	$(RUN) python -m benches --core target/benches.txt $(ARGS)

docs: | .venv ## Build the documentation into docs/_build
	@$(INSTALL) '.[cli,local,testing,trio]' --group docs
	$(RUN) sphinx-build --fail-on-warning --keep-going -b html docs docs/_build/html

pins: | $(UV) ## Renew constraints.txt
	$(UV) pip compile --quiet pyproject.toml --all-extras --all-groups --python-version 3.11 --universal --no-header --no-annotate --upgrade --output-file constraints.txt

clean: ## Remove everything that was built
	rm -rf .venv .tools target dist demo docs/_build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

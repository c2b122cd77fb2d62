# Everything here needs python3, make and a Rust toolchain; the rest is set up in .tools and .venv.
UV := .tools/bin/uv
INSTALL := $(UV) pip install --quiet --python .venv --constraint constraints.txt --editable
RUN := $(UV) run --no-sync
ARGS ?=
PROCESSES ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test soak lint check-rust bench wheel docs clean pins

help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

$(UV):
	@python3 -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv

.venv: | $(UV)
	@$(UV) venv --quiet --python python3 .venv

# Installing is a no-op unless pyproject.toml, the pins or the Rust sources changed ([tool.uv] cache-keys).
demo: | .venv ## Play a whole phone call, offline (ARGS="--backend trio", ARGS=--help)
	@echo "Setting up: packages and the Rust extension (about 20 s the first time)" >&2
	@$(INSTALL) '.[cli,local,testing,trio]'
	@$(RUN) trunkline demo $(ARGS)

test: | .venv ## Run the tests of Rust and Python (ARGS="-k twilio" PROCESSES=4)
	@$(INSTALL) '.[cli,local,testing,trio,uvloop]' --group test --group oracles
	cargo test --quiet --workspace
	$(RUN) pytest -n $(PROCESSES) --dist loadgroup $(ARGS)

# Thousands of calls take long: 2,000 about an hour, 200 some minutes. The seed is printed, and SEED=… repeats it.
CALLS ?= 2000
MINUTES ?= 20
SEED ?=

soak: | .venv ## Soak a gateway with calls and see that nothing is left (CALLS=2000 MINUTES=20)
	@$(INSTALL) '.[cli,local,testing,trio,uvloop]' --group test
	$(RUN) python -m tests.peers
	$(RUN) pytest -m soak
	$(RUN) python -m tests.soak --calls $(CALLS) --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

lint: | .venv ## Check style, types, stubs, imports and the Rust code
	@$(INSTALL) '.[cli,local,testing,trio,uvloop]' --group dev
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) stubtest trunkline._native._rust
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings

# Each has flags, and so a target directory, of its own. ThreadSanitizer needs the nightly toolchain and is left out where there is none.
CHECKED := CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true
CASES ?= 50000
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

check-rust: ## Check the Rust core harder: every order of threads, any input, ThreadSanitizer (CASES=100000)
	RUSTFLAGS="--cfg loom" cargo test --quiet -p trunkline-core --release --test loom_buffers --target-dir target/loom
	$(CHECKED) PROPTEST_CASES=$(CASES) cargo test --quiet -p trunkline-core --release --lib --test entry_points --test frame_path --test scan --target-dir target/checked
	@if rustup run nightly rustc --version >/dev/null 2>&1; then set -x; \
		RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" rustup run nightly cargo test --quiet -p trunkline-core \
			--release --test buffer_threads --target $(HOST) --target-dir target/tsan; \
	else echo "there is no nightly toolchain: ThreadSanitizer was not run"; fi

bench: | .venv ## Measure audio beside other libraries, and whole calls, into docs/benchmarks
	@$(INSTALL) '.[testing,trio,uvloop]' --group bench
	@mkdir -p target
	cargo bench --quiet --package trunkline-benches | tee target/benches.txt
	$(RUN) python -m benches --core target/benches.txt $(ARGS)
	$(RUN) python -m benches.frames
	$(RUN) python -m benches.bridge

# Zig links against the C library of older systems. It comes from PyPI, as maturin does; the wheel is tried where nothing else is installed.
WHEELS := target/wheels
TRIED := target/tried

wheel: | $(UV) ## Build a wheel that older Linux systems take too, and try it in an empty environment
	@$(UV) pip install --quiet --python .tools --constraint constraints.txt maturin ziglang
	@rm -rf $(WHEELS) $(TRIED)
	PATH="$(CURDIR)/.tools/bin:$$PATH" maturin build --quiet --release --out $(WHEELS) $(if $(filter Linux,$(shell uname -s)),--zig --compatibility manylinux_2_28)
	@ls $(WHEELS)
	@$(UV) venv --quiet --python python3 $(TRIED)
	@$(UV) pip install --quiet --python $(TRIED) --constraint constraints.txt "trunkline[cli,local,testing] @ file://$$(ls $(CURDIR)/$(WHEELS)/*.whl)"
	cd $(TRIED) && bin/trunkline --version && bin/trunkline demo

docs: | .venv ## Build the documentation into docs/_build
	@$(INSTALL) '.[cli,local,testing,trio]' --group docs
	@rm -rf docs/_build
	$(RUN) sphinx-build --fail-on-warning --keep-going -b html docs docs/_build/html

pins: | $(UV) ## Renew constraints.txt
	$(UV) pip compile --quiet pyproject.toml --all-extras --group dev --group docs --group bench --group bootstrap --group wheel --python-version 3.11 --universal --no-header --no-annotate --upgrade --output-file constraints.txt

clean: ## Remove everything that was built
	rm -rf .venv .tools target dist demo docs/_build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

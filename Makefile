# Two commands: `make demo` shows what scotopic does, `make test` checks that it works here.

PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
OUT := out/demo
SAMPLE := examples/dark_eagles.dng

.PHONY: demo test check lint bench evaluate web wasm lock clean

demo: $(VENV)/.core
	@rm -rf $(OUT) && mkdir -p $(OUT)
	@$(BIN)/scotopic develop $(SAMPLE) -o $(OUT)/traditional.jpg
	@$(BIN)/scotopic enhance $(SAMPLE) -o $(OUT)/enhanced.jpg
	@$(BIN)/scotopic compare $(SAMPLE) -o $(OUT) > /dev/null
	@echo
	@echo "A dark RAW photo (simulated from a clean one: no camera took it), 300 times too dark:"
	@echo "  the traditional way   $(OUT)/traditional.jpg"
	@echo "  enhanced              $(OUT)/enhanced.jpg"
	@echo "  side by side          $(OUT)/dark_eagles-compare.jpg"
	@echo "  with a slider         $(OUT)/dark_eagles-compare.html"

test: $(VENV)/.full
	@$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal

check: lint test

lint: $(VENV)/.full
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

bench: $(VENV)/.full
	@mkdir -p out
	$(BIN)/python benchmarks/speed.py --openvino -o out/speed.json --figure out/speed.svg
	$(BIN)/python benchmarks/memory.py -o out/memory.json
	$(BIN)/python benchmarks/peers.py -o out/peers.json --figure out/peers.svg

evaluate: $(VENV)/.full
	$(BIN)/scotopic evaluate synthetic -o out/synthetic.json

# What the page needs at run time from the npm registry; `make web` before `scotopic serve` and a wheel.
web: src/scotopic/web/static/vendor/.done

src/scotopic/web/static/vendor/.done: package.json package-lock.json src/scotopic/web/vendor.mjs
	@npm ci --ignore-scripts --no-audit --no-fund --silent
	@npm run --silent vendor
	@touch $@

# LibRaw and libjpeg-turbo for the page, compiled anew from their sources; the result is tracked. Needs Debian 12's
# emscripten, Node and npm (any: Debian's own or not), and one core for 2.5 minutes, 9 on a busy machine.
wasm:
	@src/scotopic/web/libraw/build.sh

# The environment to use scotopic with; the one to develop it with holds the rest and is editable.
$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

# On Linux what is downloaded must have the hashes of requirements.lock, PyTorch aside: which of its builds one gets
# depends on where one is. Elsewhere the versions alone are held.
$(VENV)/.full: pyproject.toml constraints.txt requirements.lock | $(VENV)/bin/python
	@test "$$(uname -s)" != Linux || \
		$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,evaluate,web,openvino,dev]'
	@touch $@ $(VENV)/.core

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "scotopic needs Python 3.11 or later; install it first"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make environments; on Debian: apt install python3-venv"; exit 1; }

# Anew after a change of constraints.txt or of the dependencies in pyproject.toml.
lock: $(VENV)/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9
	@{ echo '# Made by make lock: what Linux installs for development, with hashes. PyTorch comes without: see Makefile.'; \
		$(BIN)/uv pip compile pyproject.toml --extra train --extra evaluate --extra web --extra openvino --extra dev \
			-c constraints.txt --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --quiet \
			$(UNLOCKED:%=--no-emit-package %); } > requirements.lock.new
	@mv requirements.lock.new requirements.lock

# PyTorch, and what its builds for graphics cards bring along.
UNLOCKED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

clean:
	rm -rf $(VENV) out build dist node_modules src/scotopic/web/static/vendor

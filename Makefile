# make demo | studio | install | test | lint | docs | bench
#
# PYTHON names the interpreter that the environment is made with (3.11 to 3.13). pip's own configuration
# (mirrors, proxies, certificates) is used as it is found.
#
# On Linux x86-64, PyPI's torch brings CUDA. TORCH_INDEX names an index with builds that do not; in later calls as well:
#     make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
# What is installed: what trainings and videos need, the server too, all that development needs.
STAMP := $(VENV)/.talkinghead-installed
SERVE_STAMP := $(VENV)/.talkinghead-serves
DEV_STAMP := $(VENV)/.talkinghead-developed
TORCH := $(shell sed -n 's/^ *"\(torch\(audio\)*==[^"]*\)",$$/\1/p' pyproject.toml)

# What `make demo` says, and who says it: the built-in anchor, or an ANCHOR folder of your own. Both reach the command
# through its environment, as they were given: neither make nor the shell looks at what they contain.
ANCHOR ?= henrik
TEXT ?= Good evening, and welcome. Everything you hear and see here was made on this computer, from a line of text.
override ANCHOR := $(value ANCHOR)
override TEXT := $(value TEXT)
export ANCHOR TEXT TORCH_INDEX

.PHONY: install demo studio test lint docs bench

install: $(DEV_STAMP)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "talkinghead needs Python 3.11 to 3.13; name one: make install PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
		|| { echo "cannot make $(VENV); on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

# torch comes first where an index is named for it: pip then finds the version that is required in place.
define install_package
	test -z "$$TORCH_INDEX" || $(BIN)/python -m pip install --quiet --index-url "$$TORCH_INDEX" $(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.$(1)'
	$(BIN)/talkinghead doctor --warm
	touch $(2)
endef

$(STAMP): pyproject.toml | $(BIN)/python
	$(call install_package,,$(STAMP))

$(SERVE_STAMP): pyproject.toml | $(BIN)/python
	$(call install_package,[serve],$(STAMP) $(SERVE_STAMP))

$(DEV_STAMP): pyproject.toml | $(BIN)/python
	$(call install_package,[dev],$(STAMP) $(SERVE_STAMP) $(DEV_STAMP))

demo: $(STAMP)
	mkdir -p out
	$(BIN)/talkinghead generate --text="$$TEXT" -o out/demo.mp4 --contact-sheet out/demo.png --overwrite -- "$$ANCHOR"
	@echo "Look at out/demo.mp4. Then with a clip of your own, of somebody who agreed to it:"
	@echo "    source $(VENV)/bin/activate"
	@echo "    talkinghead train me.mp4 -o me.anchor --minutes 15"
	@echo "    talkinghead generate me.anchor speech.wav -o out/me.mp4"

studio: $(SERVE_STAMP)
	$(BIN)/talkinghead serve --open

# One process for each core; one that has nothing left to do takes tests from the other.
test: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Of Material's own theme, a notice about a future MkDocs is left out.
docs: $(DEV_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open out/site/index.html, or for the search too: python3 -m http.server -b 127.0.0.1 -d out/site"

# quality.py comes first: the others measure the anchor that it trains.
BENCHMARKS := quality frame_rates leak memory speed stages landmark_speed

bench: $(DEV_STAMP)
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py; done

# make install | demo | studio | test | lint | bench
#
# PYTHON names the interpreter that the environment is made with (3.11 to 3.13). pip's own configuration
# (mirrors, proxies, certificates) is used as it is found.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.talkinghead-installed

# What `make demo` says, and who says it: the built-in anchor, or an ANCHOR folder of your own. Both reach the command
# through its environment, as they were given: neither make nor the shell looks at what they contain.
ANCHOR ?= presenter
TEXT ?= Good evening, and welcome. Everything you hear and see here was made on this computer, from a line of text.
override ANCHOR := $(value ANCHOR)
override TEXT := $(value TEXT)
export ANCHOR TEXT

.PHONY: install demo studio test lint bench

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "talkinghead needs Python 3.11 to 3.13; name one: make install PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo "cannot make $(VENV); on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/talkinghead doctor --warm
	touch $(STAMP)

demo: install
	mkdir -p out
	$(BIN)/talkinghead generate --text="$$TEXT" -o out/demo.mp4 --contact-sheet out/demo.png --overwrite -- "$$ANCHOR"
	@echo "Look at out/demo.mp4. Then with a clip of your own, of somebody who agreed to it:"
	@echo "    source $(VENV)/bin/activate"
	@echo "    talkinghead train me.mp4 -o me.anchor --minutes 15"
	@echo "    talkinghead generate me.anchor speech.wav -o out/me.mp4"

studio: install
	$(BIN)/talkinghead serve --open

# One process for each core; one that has nothing left to do takes tests from the other.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# quality.py comes first: the others measure the anchor that it trains.
BENCHMARKS := quality frame_rates leak memory speed stages landmark_speed

bench: install
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py; done

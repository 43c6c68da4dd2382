# Chromae. `make` trains and films; `make help` lists the rest.
PYTHON ?= python3
# Made if it is not there; `make VENV=/path/to/another` uses one that is.
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
PACKAGE := $(shell find src -name '*.py')

SHAPES ?= 50000
FILMS_01 := images/color_mse.mp4 images/color_triplet.mp4
FILMS_02 := images/color_fold.mp4
FILMS_03 := images/digits_plane.mp4
FILMS_04 := images/vae_plane.mp4
FILMS_05 := images/photos_sharpen.mp4
FILMS_06 := images/photos_colored.mp4
FILMS_07 := images/shapes_walk.mp4
FILMS_08 := images/shapes_by_color.mp4 images/shapes_by_form.mp4
FILMS_09 := images/palette_forms.mp4
FILMS_10 := images/pen_plot.mp4
FILMS_11 := images/strokes.mp4
# After the first those that take longest, so that `make -j2` does not end with one of them alone.
FILMS := $(FILMS_01) $(FILMS_08) $(FILMS_04) $(FILMS_02) $(FILMS_03) $(FILMS_05) $(FILMS_06) $(FILMS_07) $(FILMS_09) $(FILMS_10) $(FILMS_11)

.PHONY: all help animations notebooks records data shapes site install verify test test-oldest nightly compare bench gpu-check clean
.DELETE_ON_ERROR:
.SILENT:
all: animations

help:  ## list the targets
	awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

animations: $(FILMS)  ## train and film whatever is out of date (this is what plain `make` does)

notebooks: $(READY)  ## publish: run every notebook in place, then renew the numbers in README.md and RESULTS.md
	TQDM_DISABLE=1 CHROMAE_PUBLISH=all $(RUN) -m chromae run notebooks/*.ipynb
	$(RUN) -m chromae readme

records: $(READY)  ## publish, with records of other code trained anew, of several seeds one if it repeats (hours; stop and go on at will)
	TQDM_DISABLE=1 CHROMAE_RECORDS=anew CHROMAE_PUBLISH=all $(RUN) -m chromae run notebooks/*.ipynb
	$(RUN) -m chromae readme

install: $(READY)  ## only the environment: .venv, with what pyproject.toml lists

data: $(READY)  ## fetch MNIST and CIFAR-10 into data/ (the notebooks fetch what they need, too)
	$(RUN) -m chromae data

shapes: $(READY)  ## save 50,000 drawn shapes as PNGs in data/shapes (no notebook needs them; SHAPES=100 saves fewer)
	$(RUN) -m chromae shapes data/shapes $(SHAPES)

site: $(READY)  ## a gallery in site/index.html: explorers, the colour lab, notebooks, films (trains nothing)
	$(RUN) -m chromae site

test: $(READY)  ## lint, then run the tests (fast preset, nothing published is touched)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pytest -n auto --maxprocesses 8

test-oldest:  ## the tests with the lowest versions that pyproject.toml allows, in .venv-oldest (downloads gigabytes)
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python tests/oldest.py >.venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet -r requirements.txt -c .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pytest -n auto --maxprocesses 8

nightly: $(READY)  ## faults and random arguments by the thousand, into results/faults.json
	rm -rf build/faults
	CHROMAE_NIGHTLY=1 $(RUN) -m pytest tests/test_faults.py tests/test_broken_files.py tests/test_fuzz.py
	CHROMAE_NIGHTLY=1 $(RUN) tests/tally.py

compare: $(READY)  ## after make: which numbers came out as published, and which did not
	$(RUN) -m chromae compare build/results

verify: $(READY)  ## do numbers come out again? NOTEBOOK=08 runs a notebook, RECORDS=3 trains some records anew
	TQDM_DISABLE=1 $(RUN) -m chromae verify $(if $(NOTEBOOK),--notebook "$(NOTEBOOK)") \
		$(if $(RECORDS),--records "$(RECORDS)") $(if $(SEED),--seed "$(SEED)") $(if $(MINUTES),--minutes "$(MINUTES)")

bench: $(READY)  ## measure speed and memory side by side, growth, and the explorer, into results/
	$(RUN) bench/run.py
	$(RUN) bench/growth.py
	$(RUN) bench/explorer_pages.py

gpu-check: $(READY)  ## ten minutes on a GPU: does it compute what the CPU does, how fast, how near to its limits
	$(RUN) bench/gpu_check.py

clean:  ## remove copies, results and figures in build/, frames, the gallery and caches; films, data and your own records stay
	rm -rf build/*.ipynb build/failed build/faults build/images build/pythae build/results build/verify build/verifying images/frames site .site-* .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +

$(READY): requirements.txt pyproject.toml
	[ -x $(RUN) ] || $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Chromae needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.12, for example")'
	[ -x $(RUN) ] || { echo "making an environment for Python in $(VENV)" && $(PYTHON) -m venv $(VENV); }
	$(RUN) -c 'import pip' 2>/dev/null || $(RUN) -m ensurepip
	echo "installing into $(VENV) what pyproject.toml lists and is not there yet: a few minutes at first, mostly PyTorch"
	$(RUN) -m pip install --quiet --no-compile -r requirements.txt
	$(RUN) -c 'import chromae.__main__, IPython, nbclient, sklearn.neighbors, torchvision, chromae.explorer'  # compiles what is used, once
	echo "installed"
	touch $@

# A film depends on a run of its notebook: on a copy, so that the notebook itself stays as its reader left it, and
# its numbers and figures beside that copy, so that the published ones stay. The run leaves frames and films; if only a
# film is missing, it is made of the frames again. Paths are relative, for that of the repository may hold spaces.
build/%.ipynb: notebooks/%.ipynb $(PACKAGE) $(READY)
	TQDM_DISABLE=1 CHROMAE_PUBLISH=films $(RUN) -m chromae run $< --to build

$(FILMS_01): build/01_color_autoencoder.ipynb
$(FILMS_02): build/02_color_questions.ipynb
$(FILMS_03): build/03_digits_autoencoder.ipynb
$(FILMS_04): build/04_digits_vae.ipynb
$(FILMS_05): build/05_photos_autoencoder.ipynb
$(FILMS_06): build/06_colorization.ipynb
$(FILMS_07): build/07_shapes_autoencoder.ipynb
$(FILMS_08): build/08_shapes_contrastive.ipynb
$(FILMS_09): build/09_palette_excitation.ipynb
$(FILMS_10): build/10_pen_plot.ipynb
$(FILMS_11): build/11_strokes.ipynb

$(FILMS):
	$(RUN) -m chromae film images/frames/$(basename $(<F))/$(basename $(@F)) $@

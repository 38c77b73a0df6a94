# Every command here is also `python -m autograder COMMAND`, for a machine without make.

PYTHON     ?= python3
SUBMISSION ?= handout
CORPUS     ?= auto
DEVICE     ?= auto
ARGS       ?=
KIT = "$(PYTHON)" -m autograder

.DEFAULT_GOAL := help
ROOMS = evaluate ladder transfer study attention find-lr schedules
.PHONY: help grade grade-class grade-scheduler grade-worker bench-class check train handin data fixtures release calibrate reference referee $(ROOMS) test test-all \
        lint mutants fuzz bench bench-training clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

grade: ## grade SUBMISSION=handout (solution, a folder, a hand-in file) on CORPUS=auto
	@$(KIT) grade "$(SUBMISSION)" --corpus "$(CORPUS)" $(ARGS)

check: ## check the four classes of SUBMISSION= in seconds, without training
	@$(KIT) check "$(SUBMISSION)"

train: ## train SUBMISSION= on DEVICE=auto; more settings in ARGS="--lr 0.002 --epochs 3"
	@$(KIT) train "$(SUBMISSION)" --corpus "$(CORPUS)" --device "$(DEVICE)" $(ARGS)

handin: ## check SUBMISSION= and pack it into handin.tar
	@$(KIT) handin "$(SUBMISSION)"

data: ## fetch, verify and encode WikiText-2 (WIKITEXT2= a folder or the zip, to use your own copy)
	@$(KIT) data $(ARGS)

fixtures: ## instructors: draw hidden fixtures from the test split with SECRET_FILE= (made if not there)
	@$(KIT) fixtures $(if $(SECRET_FILE),--secret-file "$(SECRET_FILE)",--secret "$(SECRET)") $(ARGS)

grade-class: ## instructors: grade SUBMISSIONS=folder; SCHEDULER=tcp://… for a cluster; ARGS="--fixtures data/hidden"
	@$(KIT) grade-class "$(SUBMISSIONS)" --corpus "$(CORPUS)" $(if $(SCHEDULER),--scheduler "$(SCHEDULER)") $(ARGS)

grade-scheduler: ## instructors: run a Dask scheduler; ARGS="--file scheduler.json"
	@$(KIT) grade-scheduler $(ARGS)

grade-worker: ## instructors: lend this machine to the cluster of SCHEDULER=; ARGS="--workers 8"
	@$(KIT) grade-worker "$(SCHEDULER)" $(ARGS)

release: ## instructors: dist/, for students and platforms; ARGS="--fixtures data/hidden"
	@$(KIT) release $(ARGS)

calibrate: ## instructors: what known systems earn on 20 secret draws; ARGS="--corpus numbers"
	@$(KIT) calibrate $(ARGS)

reference: ## instructors: train the solution with PRESET=quick (awd-lstm where there is a GPU)
	@$(KIT) reference --corpus "$(CORPUS)" --device "$(DEVICE)" $(if $(PRESET),--preset $(PRESET)) $(ARGS)

referee: ## instructors: make CHECKPOINT= the model that judges generated text
	@$(KIT) referee "$(CHECKPOINT)" $(ARGS)

evaluate: ## instructors: perplexity; ARGS="--system cache --tune --split test" (or dynamic)
	@$(KIT) evaluate $(ARGS)

ladder: ## from a fixed window to a regularised LSTM, on the embedded corpus
	@$(KIT) ladder $(ARGS)

transfer: ## language model to classifier (ULMFiT), and what each step buys
	@$(KIT) transfer $(ARGS)

study: ## what each technique, cell and output layer is worth, three seeds each
	@$(KIT) study $(ARGS)

attention: ## draw a Transformer's heads; ARGS="--weights runs/train/…/checkpoint.safetensors"
	@$(KIT) attention $(ARGS)

find-lr: ## the learning-rate range test; settings as for make train
	@$(KIT) find-lr $(ARGS)

schedules: ## draw the learning-rate schedules
	@$(KIT) schedules $(ARGS)

test: ## run the tests, the slow ones apart
	@$(KIT) test $(ARGS)

test-all: ## run every test
	@$(KIT) test --all $(ARGS)

mutants: ## try the checks on seeded bugs: mutant by check, and the share named right
	@$(KIT) mutants

fuzz: ## try made-up inputs on what reads strangers' files; ARGS="--seconds 600 --target frames"
	@$(KIT) fuzz $(ARGS)

lint: ## check the style of the source
	@$(KIT) lint

bench: ## measure speed and memory of the commands
	@$(KIT) bench

bench-class: ## measure the grading of a class; ARGS="--hand-ins 300 --corpus wikitext2"
	@$(KIT) bench --class $(ARGS)

bench-training: ## measure speed and memory of training steps
	@$(KIT) bench --training

clean: ## remove .venv, data, runs and dist
	@$(KIT) clean

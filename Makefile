# Two commands do all the set-up on a machine with python3, make and git:
#   make run GOAL="..."     bring a goal to the rehearsal GitHub and cluster
#   make test               pass the tests
PYTHON ?= python3
SETUP = $(PYTHON) tools/environments.py
export GOAL
SECONDS ?= 30

.PHONY: run test check format lint types layers attacks contract fuzz rig rig-test kills bench lock mutants clean

run: ## GOAL reaches the program through the environment, never by expansion in a shell
	@$(SETUP) base crew scanner
	@.venv/bin/countersign run

test:
	@$(SETUP) base crew scanner dev
	@$(PYTHON) tests/run.py

check: lint types layers test

format:
	@$(SETUP) dev
	@.venv-dev/bin/ruff format -q .
	@.venv-dev/bin/ruff check -q --fix .

lint:
	@$(SETUP) dev
	@.venv-dev/bin/ruff format -q --check .
	@.venv-dev/bin/ruff check -q .

types:
	@$(SETUP) base crew scanner dev
	@$(PYTHON) tests/types.py

layers:
	@$(SETUP) base dev
	@.venv-dev/bin/lint-imports

attacks: ## the whole corpus of ways in and twelve thousand random edits, effects counted at the targets
	@$(SETUP) base scanner dev
	@$(PYTHON) tests/run.py attacks

contract:
	@$(SETUP) base crew scanner clients dev
	@$(PYTHON) tests/run.py contract

fuzz: ## SECONDS for each target; TARGET for one of them
	@$(SETUP) base fuzz
	@$(PYTHON) tests/fuzz/run.py --seconds $(SECONDS) $(TARGET)

rig:
	@$(PYTHON) tests/rig/build.py
	@$(PYTHON) tests/rig/rig.py up

rig-test:
	@$(SETUP) base crew scanner dev
	@$(PYTHON) tests/rig/build.py
	@$(PYTHON) tests/run.py rig

kills: ## kill a process of a run 500 times, resume, count the effects at the targets
	@$(SETUP) base dev
	@.venv/bin/python -m tests.attacks.kills

bench:
	@$(SETUP) base crew scanner dev
	@.venv/bin/python -m tests.bench

mutants: ## edit the guards one by one; each edit must turn a test red (some twenty minutes)
	@$(SETUP) base crew scanner dev
	@$(PYTHON) tests/attacks/mutants.py

lock: ## compile the hashed requirements again after a change in pyproject.toml
	@$(SETUP) base
	@sh requirements/lock.sh

clean:
	rm -rf .venv .venv-crew .venv-scanner .venv-dev .venv-phoenix .venv*.lock

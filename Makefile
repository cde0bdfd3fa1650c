# Yardmaster. "make" alone tells what there is.
# Needs python3 (3.11 or newer) and a package index that pip knows; everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Four test files side by side: most of them wait for real clocks and sockets.
BESIDE := -n 4 --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-thorough test-kill test-power-cut test-72h test-one-station test-storm test-senses test-30-days test-real-time check bench bench-relay bench-optimizer bench-blocks bench-rounding bench-planning bench-weeks bench-forecasts bench-depot bench-meters bench-memory fuzz schema constraints install clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         watch a depot charge: simulated stations, CSMS, meters and a page at http://127.0.0.1:8080/"
	@echo "                  ARGS are handed on, e.g. make demo ARGS='--port 8081'; ARGS=--help shows them"
	@echo "make test         run all tests, four files side by side; what fails beside others is judged once more alone (installs mosquitto and chromium if it may)"
	@echo "                  e.g. make test ARGS='-q tests/optimizer'"
	@echo "make test-thorough  the same with two and a half times as many examples for every law, others each time; ARGS as above"
	@echo "make test-kill    kill -9 the controller 200 times under traffic (about 8 minutes); ARGS='--rounds 1000' for more"
	@echo "make test-power-cut  cut the power 50 times under traffic (about 6 minutes; mounts an image if it may); ARGS='--rounds 200' for more"
	@echo "make test-72h     three days without a CSMS, 100 stations, in virtual time (about 8 minutes)"
	@echo "make test-one-station  100 chargers of all versions as one large station for a day, in virtual time; ARGS='--version ocpp2.0.1'"
	@echo "make test-storm   power cuts, hang-ups and full disks at every step of translation and depot face; ARGS='--rounds 60 --seed 7'"
	@echo "make test-senses  a site with every meter, device, signal and server while all of them are killed, frozen and cut off (5 minutes); ARGS='--minutes 30 --seed 7'"
	@echo "make test-30-days a depot of 64 bays for a month in virtual time, fuses watched each second (more than an hour on two cores)"
	@echo "                  e.g. make test-30-days ARGS='--days 2 --seed 7 --json month.json'; ARGS=--help shows all"
	@echo "make test-real-time  the same depot in real time over sockets (10 minutes); ARGS='--minutes 3', ARGS='--freeze 120' stops the controller"
	@echo "make check        style, types, import contracts, schema, links"
	@echo "make bench        measure: guard with and without the solver, arbiter, engine"
	@echo "make bench-optimizer, bench-blocks, bench-rounding, bench-planning   measure the optimiser; figures go to tests/bench/history.csv"
	@echo "                  e.g. make bench-optimizer ARGS='--cars 100 --dry'; ARGS=--help shows all"
	@echo "make bench-depot  measure the one upstream link of a depot: messages per second at 200 ms, CPU per message; ARGS='--dry' writes no history"
	@echo "make bench-meters measure what reading 50 Modbus meters once a second costs (a minute)"
	@echo "make bench-memory memory and punctuality of a running controller while 100 stations reconnect again and again (10 minutes); ARGS='--minutes 45 --storm 1e9' for calm"
	@echo "make bench-weeks  closed loop over weeks of recorded sessions against perfect foresight; needs ARGS='FOLDER' with the data"
	@echo "make bench-forecasts   how wrong forecasts of PV, load and cars are, beside simple references; needs ARGS='FOLDER' with the data"
	@echo "make bench-relay  measure the relay beside a direct connection and nginx (about 10 minutes; needs a C compiler)"
	@echo "                  e.g. make bench-relay ARGS='--stations 100 --rounds 1 --json relay.json'; ARGS=--help shows all"
	@echo "make fuzz         feed rubbish to frames and engine for a minute each; ARGS='--seconds 600' for longer"
	@echo "make schema       write config/site.schema.json again after a change of controller/config.py"
	@echo "make constraints  write constraints.txt again from $(VENV)"
	@echo "make install      put the yardmaster command with everything it needs into $(VENV)"
	@echo "make clean        remove what was made here: $(VENV), caches, demo data"

# Through foreground.py Ctrl-C reaches the demo and not make, which would call a good end an error.
demo: .venv-demo
	@exec $(BIN)/python deploy/foreground.py $(BIN)/yardmaster demo $(ARGS)

test: .venv-dev
	@deploy/install-test-tools.sh
	@$(if $(ARGS),exec $(BIN)/python -m pytest $(ARGS),$(BIN)/python -m pytest $(BESIDE) || \
		{ echo "Some failed beside the others, on a machine that was busy with them. Those again, alone:"; \
		exec $(BIN)/python -m pytest --last-failed --last-failed-no-failures none --maxfail 3; })

test-thorough: .venv-dev
	@deploy/install-test-tools.sh
	@exec env YARDMASTER_THOROUGH=1 $(BIN)/python -m pytest $(if $(ARGS),$(ARGS),$(BESIDE))

test-kill: .venv-dev
	@exec $(BIN)/python -m tests.support.kill_rounds $(ARGS)

test-power-cut: .venv-dev
	@exec $(BIN)/python -m tests.support.power_cut $(ARGS)

test-72h: .venv-dev
	@exec $(BIN)/python -m tests.support.long_outage $(ARGS)

test-one-station: .venv-dev
	@exec $(BIN)/python -m tests.support.one_station $(ARGS)

test-storm: .venv-dev
	@exec $(BIN)/python -m tests.support.storm $(ARGS)

test-senses: .venv-dev
	@deploy/install-test-tools.sh
	@exec $(BIN)/python -m tests.support.senses_chaos $(ARGS)

test-30-days: .venv-dev
	@exec $(BIN)/python -m controller.sim.physics $(ARGS)

test-real-time: .venv-dev
	@exec $(BIN)/python -m tests.support.real_time $(ARGS)

check: .venv-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.check_project

bench: .venv-dev
	@for bench in arbiter engine guard; do echo "== $$bench"; $(BIN)/python tests/bench/bench_$$bench.py || exit 1; done
	@echo "== the guard again, with the solver killed"; $(BIN)/python tests/bench/bench_guard.py --without-solver

bench-optimizer bench-blocks bench-rounding bench-planning bench-weeks bench-forecasts bench-depot bench-meters bench-memory: .venv-dev
	@exec $(BIN)/python tests/bench/$(subst -,_,$@).py $(ARGS)

bench-relay: .venv-dev
	@deploy/install-test-tools.sh bench
	@exec $(BIN)/python tests/bench/relay/bench_relay.py $(ARGS)

fuzz: .venv-dev
	@for target in tests/fuzz/fuzz_*.py; do echo "== $$target"; $(BIN)/python "$$target" $(ARGS) || exit 1; done

schema: .venv-dev
	$(BIN)/yardmaster schema > config/site.schema.json

constraints: .venv-dev
	$(BIN)/python -m deploy.pin > constraints.new
	mv constraints.new constraints.txt

# The service may write no files beside its own code: without this it would compile all of it at every start (a third of the time of a start).
install: .venv-demo
	@$(BIN)/python -m compileall -q controller meters optimizer signals

.PHONY: .venv-demo .venv-dev
.venv-demo:
	@PYTHON="$(PYTHON)" deploy/venv.sh $(VENV) demo

.venv-dev:
	@PYTHON="$(PYTHON)" deploy/venv.sh $(VENV) demo,dev

clean:
	rm -rf $(VENV) build dist demo-data simulation *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

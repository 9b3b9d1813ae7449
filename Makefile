# The only requirements are python3 (3.11 or later, with venv), make and a package index.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIN    := --quiet --universal --python-version 3.11 --no-header --no-annotate

.PHONY: install demo test coverage matrix cluster lint check docs wheels wheels-check bench bench-emulator bench-mappings bench-rerun bench-waits bench-airflow storm proof safety soak mutants mutants-data-prep constraints clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml data_prep/pyproject.toml emulator/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or later is needed, and '$(PYTHON)' is none. Name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ./data_prep -e ./emulator -e '.[emulator,dev,docs]'
	@touch $@

demo: install ## onboard a table into the emulator; SYSTEM=zendesk, ARGS="--table incident --source-data DIR"
	@$(BIN)/python -m airflow_provider_aep.demo $(if $(SYSTEM),--system $(SYSTEM)) $(ARGS)

test: install ## run the tests
	@$(BIN)/python -m pytest -n auto

coverage: install ## run the tests, and say which lines none has been through
	@$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered

matrix: install ## the tests on Airflow 3.0 to 3.3, lowest and newest dependencies, Python 3.11 to 3.13
	@$(BIN)/python tests/matrix.py $(ARGS)

cluster: $(VENV)-cluster/installed ## docker-compose.yaml's services by hand; a worker is killed in the middle of a DAG run
	@$(VENV)-cluster/bin/python tests/cluster.py $(ARGS)

$(VENV)-cluster/installed: $(VENV)/installed
	@$(PYTHON) -m venv $(VENV)-cluster
	@$(VENV)-cluster/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ./data_prep -e ./emulator -e '.[emulator,cluster]'
	@touch $@

lint: install ## style, types, the import contract, spelling and wording
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	@$(BIN)/codespell && $(BIN)/python tools/check_prose.py

check: lint test docs ## what CI checks, but for the lowest Airflow (make matrix ARGS=--short)

wheels: install ## build the distributions into dist/
	@rm -rf dist && for folder in data_prep emulator .; do $(BIN)/uv build --quiet --wheel --out-dir dist $$folder || exit; done

wheels-check: wheels ## install each wheel into an empty environment, and try it there
	@$(BIN)/python tests/wheels.py dist

docs: install ## the documentation site, in site/; warnings are errors
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env --write-all docs site
	@$(BIN)/python tests/site.py site

bench: $(VENV)-bench/installed ## what importing the operators costs, beside other providers
	@$(VENV)-bench/bin/python benchmarks/import_cost.py $(ARGS)

$(VENV)-bench/installed: pyproject.toml benchmarks/constraints.txt
	@$(PYTHON) -m venv $(VENV)-bench
	@$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check -c benchmarks/constraints.txt -e ./data_prep -e '.[bench]'
	@touch $@

bench-emulator: install ## how fast the emulator is
	@$(BIN)/python benchmarks/emulator.py $(ARGS)

bench-mappings: install ## what expressions cost a run, and a large mapping set its check
	@$(BIN)/python benchmarks/mappings.py $(ARGS)

bench-waits: $(VENV)-waits/installed ## what ten thousand waits cost a triggerer, beside dbt Cloud's
	@$(VENV)-waits/bin/python benchmarks/waits.py $(ARGS)

$(VENV)-waits/installed: $(VENV)/installed
	@$(PYTHON) -m venv $(VENV)-waits
	@$(VENV)-waits/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ./data_prep -e ./emulator -e '.[emulator,waits]'
	@touch $@

bench-airflow: install ## from the end of a run to the end of its task, with 200 waits in a real Airflow
	@$(BIN)/python benchmarks/waits_in_airflow.py $(ARGS)

bench-rerun: install ## what an onboarding costs that is there already
	@$(BIN)/python benchmarks/rerun.py

storm: install ## a thousand onboardings in processes that are killed at random, beside plain HttpOperator
	@$(BIN)/python benchmarks/storm.py $(ARGS)

proof: storm ## the long forms of what CI has short: 200 races, 20 in real Airflow, 20 onboardings there in a storm
	@AEP_SOAK_CRASHES=5 AEP_SOAK_RACES=200 AEP_SOAK_DAG_RACES=20 AEP_SOAK_STORMS=20 $(BIN)/python -m pytest -q -n auto --maxprocesses 3 \
	  tests/onboarding/test_concurrent_writers.py tests/system/test_exactly_once.py

safety: install ## take each safety step out of the engine; says which test turns red
	@$(BIN)/python tests/safety.py $(ARGS)

soak: install ## fuzz the emulator for ten minutes, and kill it a hundred times in the middle of writes
	@AEP_SOAK_SECONDS=600 AEP_SOAK_KILLS=100 $(BIN)/python -m pytest -q tests/emulator/test_soak.py

mutants: install ## break the error handling and the run table in every way; lists what no test noticed
	@rm -rf mutants && $(BIN)/mutmut run && $(BIN)/mutmut results

mutants-data-prep: install ## the same of the evaluator of the mapping language, in a folder of its own
	@rm -rf .mutants && mkdir -p .mutants/tests && cp -r data_prep/aep_data_prep data_prep/pyproject.toml .mutants
	@cp tests/data_prep/*.py tests/choice_samples.py .mutants/tests
	@cd .mutants && $(CURDIR)/$(BIN)/mutmut run && $(CURDIR)/$(BIN)/mutmut results


constraints: install ## pin anew what is installed
	$(BIN)/uv pip compile $(PIN) --no-emit-package aep-data-prep --no-emit-package aep-emulator --extra emulator --extra dev --extra docs --extra cluster --extra waits pyproject.toml -o constraints.txt
	$(BIN)/uv pip compile $(PIN) --no-emit-package aep-data-prep --extra bench pyproject.toml -o benchmarks/constraints.txt

clean:
	rm -rf $(VENV) $(VENV)-bench $(VENV)-waits $(VENV)-cluster $(VENV)-matrix .demo site

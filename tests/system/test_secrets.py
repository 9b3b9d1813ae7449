"""No secret and no personal data is in the logs, the metadata database or the emulator's state."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pyarrow.parquet as pq
import pytest

from aep_emulator.engine.source_data import sample_data
from airflow_provider_aep.demo.environment import LOGIN

ONBOARDING = "aep_customer_success_onboarding"
CONF = {"start_in_minutes": 0.02, "poke_interval": 0.2}


@pytest.fixture
def canary_emulator(make_emulator, tmp_path):
    """An emulator with a known secret, and with rows of which nothing but the data lake may know."""
    folder = tmp_path / "tables"
    folder.mkdir()
    lines = (sample_data() / "servicenow" / "customer_contact.csv").read_text().splitlines()
    lines[7] = lines[7].replace(lines[7].split(",")[3], "Canaryperson")
    lines[8] = lines[8].replace("@", "Canarybroken")  # a row that AEP rejects
    lines[9] += ",Canaryragged"  # a row with too many cells
    (folder / "customer_contact.csv").write_text("\n".join(lines))
    return make_emulator(folder, client_secret="canary-client-secret")


@pytest.fixture
def canary_connections(airflow, canary_emulator):
    source = "aep_servicenow"
    airflow.connect("aep_default", canary_emulator.connection())
    airflow.connect(source, {**LOGIN, "password": "canary-source-password"})
    yield
    airflow.ask("DELETE", "/connections/aep_default")
    airflow.connect(source, LOGIN)


@pytest.mark.usefixtures("canary_connections")
def test_no_secret_and_no_personal_data_leaves_the_request(airflow, canary_emulator, examples):
    """Search everything that is stored for a client secret, a source password, tokens and cells of the source.

    That is Airflow's home with the tasks' and the components' logs at DEBUG, the metadata database, and the emulator's
    state without its tokens and without the diagnostics of rejected rows. ``airflow dags test`` at DEBUG is left out:
    its in-process supervisor prints the values that it is asked to mask.
    """
    with airflow.dags_in(examples(ONBOARDING), ONBOARDING), ThreadPoolExecutor(2) as pool:
        confs = [{**CONF, "name": "Green"}, {**CONF, "name": "Red", "table": "gone"}]
        (green, tasks), (red, others) = pool.map(lambda conf: airflow.run(ONBOARDING, conf), confs)
    assert green == "success", tasks
    assert (red, others["explore"]) == ("failed", "failed")

    state = canary_emulator.world.store._db
    tokens = [value for (value,) in state.execute("SELECT value FROM tokens")]
    assert tokens
    [lake] = canary_emulator.lake.rglob("*.parquet")
    landed = {p["name"]["firstName"] for p in pq.read_table(lake).column("person").to_pylist()}
    assert "Canaryperson" in landed
    state.execute("DELETE FROM tokens")
    state.execute("DELETE FROM objects WHERE kind = 'diagnostics'")
    state.execute("VACUUM")
    state.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    tables = airflow.database.content()
    searched = {"state": canary_emulator.state.read_bytes(), **tables}
    for file in airflow.home.rglob("*"):
        with suppress(FileNotFoundError):  # a temporary file of another test
            if file.is_file():
                searched[str(file.relative_to(airflow.home))] = file.read_bytes()
    assert b"Accepted: run" in b"".join(searched.values())
    assert b"debug" in searched["output/scheduler.log"].lower()
    assert b"aep_servicenow" in tables["connection"]
    people = ["Canaryperson", "Canarybroken", "Canaryragged"]
    canaries = ["canary-client-secret", "canary-source-password", *people, *tokens]
    found = {(c, name) for c in canaries for name, content in searched.items() if c.encode() in content}
    assert not found

"""What a task tells of the rows it has watched: an asset's event for Airflow, lineage for OpenLineage."""

import json
import sys
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias
from tasks import flow
from waits import MODES, wait

from airflow_provider_aep.assets import any_dataset, convert_asset_to_openlineage, create_asset, sanitize_uri
from airflow_provider_aep.exceptions import AepRetryableError
from airflow_provider_aep.operators.run import AepRunFlowOperator
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

URI = "aep://0123456789ABCDEF/dev/dataset/65f0"


@pytest.mark.parametrize("org", ["0123456789ABCDEF", "0123456789ABCDEF@AdobeOrg"])
def test_an_organization_is_written_without_its_end(org):
    assert create_asset(org_id=org, sandbox="dev", dataset_id="65f0").uri == URI
    assert sanitize_uri(urlsplit(f"aep://{org}/dev/dataset/65f0")).geturl() == URI


@pytest.mark.parametrize(
    "uri",
    [
        "aep://user:password@0123/dev/dataset/1",
        "aep://0123/dev/dataset",
        "aep://0123/dev/schema/1",
        "aep://0123/dev/dataset/1?x=1",
        "aep:///dev/dataset/1",
        "aep://0123/Dev/dataset/1",
    ],
)
def test_another_address_is_none(uri):
    with pytest.raises(ValueError, match="aep://<org>/<sandbox>/dataset/<id>"):
        sanitize_uri(urlsplit(uri))


def test_airflow_knows_the_addresses():
    assert Asset(uri=f"{URI}/").uri == URI
    with pytest.raises(ValueError, match="dataset/<id>"):
        Asset(uri="aep://0123456789ABCDEF/dev/schema/1")


# -- events ---------------------------------------------------------------------------------------------------------


class Events(dict):
    """What Airflow hands a task for its outlets."""

    def __missing__(self, outlet):
        self[outlet] = found = SimpleNamespace(extra={}, added=[])
        found.add = lambda asset, extra: found.added.append((asset.uri, json.loads(json.dumps(extra))))
        return found


@pytest.fixture
def landed_run(aep, parts):
    """A run whose rows are in a dataset: its flow, and the address."""
    made = flow(parts, start_in_minutes=0.01)
    [(_, dataset)] = aep.world.store.everywhere("dataSets")
    org = aep.world.options.org_id
    return made, create_asset(org_id=org, sandbox="dev", dataset_id=dataset["id"])


def watched(flow_id, **given):
    task = AepFlowRunSensor(
        **{"task_id": "s", "flow_id": flow_id, "max_failed_ratio": 0.01, "poke_interval": 0.1, "timeout": 30, **given}
    )
    events = Events()
    result = task.execute({"outlet_events": events, "ti": SimpleNamespace(try_number=1)})
    return task, events, getattr(result, "xcom_value", result)


def test_a_dag_scheduled_by_a_dataset_gets_its_event(landed_run):
    flow_id, asset = landed_run
    _, events, result = watched(flow_id, outlets=[any_dataset()])
    [(uri, extra)] = events[any_dataset()].added
    assert uri == asset.uri
    assert (extra["run_id"], extra["written"], extra["failed"]) == (result["run_id"], result["written"], 3)
    assert extra["batch_ids"]


def test_an_author_says_what_comes_out_of_a_task(landed_run):
    flow_id, asset = landed_run
    alias = AssetAlias("tickets")
    _, events, _ = watched(flow_id, outlets=[alias, asset, Asset("another")])
    assert [uri for uri, _ in events[alias].added] == [asset.uri]
    assert events[asset].extra["written"] > 0
    assert set(events) == {alias, asset}


@pytest.mark.parametrize("operator", [AepFlowRunSensor, AepRunFlowOperator])
def test_without_an_outlet_no_event_is_emitted(operator):
    """Two tasks that tell of an asset which Airflow does not know yet, at the same moment: it fails one of them."""
    assert operator(task_id="t", flow_id="f").outlets == []


def test_a_run_without_rows_tells_nothing(aep, landed_run):
    flow_id, _ = landed_run
    _, _, result = watched(flow_id)
    outlets = [any_dataset()]
    for scope, run in aep.world.store.everywhere("runs"):
        run["metrics"]["recordSummary"]["outputRecordCount"] = 0
        aep.world.store.put("runs", scope, run["id"], run)
    _, events, _ = watched(flow_id, run_id=result["run_id"], outlets=outlets)
    assert events == {}


def test_where_aep_does_not_say_where_they_are_the_task_is_as_good(aep, landed_run):
    flow_id, _ = landed_run
    aep.fault("GET */targetConnections/{id}", "answer", status=403, code="403025")
    task, events, result = watched(flow_id, outlets=[any_dataset()])
    assert (result["verdict"], events) == ("partial", {})
    assert task.get_openlineage_facets_on_complete(None) is None
    assert aep.unfired() == []


def test_an_event_is_not_lost_because_aep_does_not_answer(aep, landed_run, impatient):
    """A retry finds the run, and tells."""
    flow_id, asset = landed_run
    _, _, result = watched(flow_id)
    aep.fault("GET */targetConnections/{id}", "answer", status=503)
    assert watched(flow_id, outlets=[Asset("another")])[2] == result  # nobody waits for it
    with pytest.raises(
        AepRetryableError,
        match=f"The rows of run {result['run_id']} have landed, but their dataset event was not emitted",
    ):
        watched(flow_id, outlets=[any_dataset()])
    aep.world.faults.clear()
    _, events, _ = watched(flow_id, outlets=[any_dataset()])
    assert [uri for uri, _ in events[any_dataset()].added] == [asset.uri]


def test_every_sandbox_of_a_connection_has_an_address():
    assert create_asset(org_id="A@AdobeOrg", sandbox="2dev", dataset_id="d").uri == "aep://A/2dev/dataset/d"


@pytest.mark.parametrize(
    ("kind", "field", "says"),
    [
        ("flows", "targetConnectionIds", "connections of the flow"),
        ("flows", "sourceConnectionIds", "connections of the flow"),
        ("targetConnections", "params", "dataset of the target connection"),
    ],
)
def test_an_object_without_the_dataset_of_its_rows_is_an_error(aep, landed_run, kind, field, says, capfd):
    flow_id, _ = landed_run
    _, _, result = watched(flow_id)
    [(scope, body)] = aep.world.store.everywhere(kind)
    aep.world.store.put(kind, scope, body["id"], {**body, field: type(body[field])()})
    task, events, result = watched(flow_id, run_id=result["run_id"], outlets=[any_dataset()])
    assert (result["verdict"], events, task.get_openlineage_facets_on_complete(None)) == ("partial", {}, None)
    assert f"AEP returned no {says}" in capfd.readouterr().out


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_emits_the_event(aep, mode, monkeypatch):
    from waits import put_run

    from airflow_provider_aep.runtime.dataset_events import Landing

    read = []
    landing = SimpleNamespace(emit=lambda context, outlets: read.append(outlets))
    monkeypatch.setattr(Landing, "read", lambda hook, result: read.append(result["run_id"]) or landing)
    put_run(aep, status="inProgress")
    wait(mode, meanwhile=lambda: put_run(aep), check_batches=False, outlets=[any_dataset()])
    assert read == ["r1", [any_dataset()]]


# -- lineage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outlets", [[], [Asset("another")], [any_dataset()]])
def test_an_accepted_run_reads_the_endpoints_only_for_an_aep_outlet(aep, landed_run, outlets):
    """Without one, only Airflow's OpenLineage provider makes the task ask for them."""
    flow_id, asset = landed_run
    _, _, result = watched(flow_id)
    start = len(aep.requests())
    task, _, _ = watched(flow_id, run_id=result["run_id"], outlets=outlets)
    waited = [r["operation"] for r in aep.requests()[start:]]
    lineage = task.get_openlineage_facets_on_complete(None)
    asked = [r["operation"] for r in aep.requests()[start + len(waited) :]]
    has_aep_outlet = outlets == [any_dataset()]
    assert count_endpoints(waited) == (1 if has_aep_outlet else 0)
    assert count_endpoints(asked) == (0 if has_aep_outlet else 1)
    assert len(asked) == (0 if has_aep_outlet else 2)
    assert f"{lineage.outputs[0].namespace}/{lineage.outputs[0].name}" == asset.uri


def count_endpoints(operations):
    """Return how often a task asked for a target connection, which only events and lineage need."""
    return len([operation for operation in operations if "targetConnections" in operation])


@pytest.mark.parametrize("emulator", [{"org_id": "ACME-DEV@AdobeOrg"}], indirect=True)
def test_an_organization_with_a_hyphen_has_events(aep, landed_run):
    flow_id, asset = landed_run
    _, events, result = watched(flow_id, outlets=[any_dataset()])
    [(uri, extra)] = events[any_dataset()].added
    assert uri == asset.uri == f"aep://ACME-DEV/dev/dataset/{asset.uri.rsplit('/', 1)[1]}"
    assert extra["run_id"] == result["run_id"]


def test_lineage_leads_from_the_source_to_the_dataset(aep, landed_run):
    flow_id, asset = landed_run
    task, _, result = watched(flow_id)
    lineage = task.get_openlineage_facets_on_complete(None)
    [source], [target] = lineage.inputs, lineage.outputs
    assert f"{target.namespace}/{target.name}" == asset.uri
    assert target.outputFacets["outputStatistics"].rowCount == result["written"]
    [(_, origin)] = aep.world.store.everywhere("sourceConnections")
    assert source.name == f"dev/sourceConnection/{origin['id']}"
    assert lineage.run_facets["externalQuery"].externalQueryId == result["run_id"]
    converted = convert_asset_to_openlineage(asset, None)
    assert (converted.namespace, converted.name) == (target.namespace, target.name)


def test_nothing_of_it_is_needed_to_run(landed_run, monkeypatch):
    for name in [n for n in sys.modules if "openlineage" in n]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage", None)
    monkeypatch.setitem(sys.modules, "openlineage", None)
    _, events, result = watched(landed_run[0], outlets=[any_dataset()])
    assert (result["verdict"], len(events)) == ("partial", 1)

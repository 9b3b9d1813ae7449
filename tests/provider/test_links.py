"""The link into Experience Platform: for every object and run, in every state, and nothing where there is nothing."""

import pytest
from tasks import NAMES, flow

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.links import AepLink, page
from airflow_provider_aep.operators.control import AepDisableFlowOperator
from airflow_provider_aep.operators.flow import AepGetFlowSpecOperator
from airflow_provider_aep.operators.run import AepRunFlowOperator
from airflow_provider_aep.operators.source import AepCreateBaseConnectionOperator, AepTestConnectionOperator
from airflow_provider_aep.operators.target import AepCreateDatasetOperator, AepCreateSchemaOperator
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

ROOT = "https://experience.adobe.com/#/@EMULATOR@AdobeOrg/sname:dev/platform/"


def link_of(operator):
    return AepLink().get_link(operator, ti_key=None)


def after(operator, **arguments):
    task = operator(task_id="t", **arguments)
    result = task.execute({})
    return result, link_of(task)


def test_each_object_has_its_page(aep, parts):
    base, link = after(AepCreateBaseConnectionOperator, name=NAMES.base)
    assert link == f"{ROOT}source/accounts/{base}/activity"
    assert after(AepTestConnectionOperator, base_connection_id=base)[1] == link
    schema, link = after(AepCreateSchemaOperator, title=NAMES.schema)
    assert link == f"{ROOT}schema/browse"
    dataset, link = after(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=schema)
    assert link == f"{ROOT}dataset/browse/{dataset}"
    flow_id = flow(parts, start_in_minutes=5)
    assert after(AepDisableFlowOperator, flow_id=flow_id)[1] == f"{ROOT}source/dataflows/{flow_id}/activity"
    assert after(AepGetFlowSpecOperator)[1] == ""


def test_a_run_has_its_page_and_a_wait_links_to_the_flow_until_then(aep, parts):
    flow_id = flow(parts, start_in_minutes=5)
    whole = {"delta_column": "sys_updated_on", "window_start": 0, "wait": False}
    run, link = after(AepRunFlowOperator, flow_id=flow_id, **whole)
    assert link == f"{ROOT}source/dataflows/{flow_id}/activity/{run['run_id']}"
    sensor = AepFlowRunSensor(task_id="s", flow_id=flow_id, poke_interval=0.1, on_partial="succeed")
    assert link_of(sensor) == f"{ROOT}source/dataflows/{flow_id}/activity"
    sensor.execute({})
    assert link_of(sensor) == link


def test_there_is_no_link_before_there_is_an_object_or_without_a_connection(aep, monkeypatch):
    task = AepCreateSchemaOperator(task_id="t", title=NAMES.schema)
    assert link_of(task) == ""
    task.execute({})
    monkeypatch.delenv("AIRFLOW_CONN_AEP_DEFAULT")
    assert link_of(task) == ""
    assert link_of(AepFlowRunSensor(task_id="s", flow_id="")) == ""
    assert link_of(AepFlowRunSensor(task_id="s2", flow_id="{{ params.flow }}")) == ""  # it was never rendered
    assert link_of(object()) == ""


def test_a_failed_task_links_to_what_it_is_about(aep):
    task = AepTestConnectionOperator(task_id="t", base_connection_id="gone")
    with pytest.raises(Exception, match="1101-404"):
        task.execute({})
    assert link_of(task) == f"{ROOT}source/accounts/gone/activity"


def test_an_id_cannot_leave_its_place():
    settings = AepSettings.from_fields(client_id="i", client_secret="s", org_id="o@AdobeOrg", sandbox="dev")
    assert page(settings, "run", "a/../b", "#c").endswith("/source/dataflows/a%2F..%2Fb/activity/%23c")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://u:p@x", "https://x/y", "ftp://x"])
def test_a_ui_url_is_a_page(url):
    with pytest.raises(AepConfigurationError, match="ui_url"):
        AepSettings.from_fields(client_id="i", client_secret="s", org_id="o@AdobeOrg", sandbox="dev", ui_url=url)


def test_a_ui_url_of_ones_own():
    settings = AepSettings.from_fields(
        client_id="i", client_secret="s", org_id="o@AdobeOrg", sandbox="dev", ui_url="https://aep.example:8443"
    )
    assert page(settings, "schema", "x").startswith("https://aep.example:8443/#/@o@AdobeOrg/")

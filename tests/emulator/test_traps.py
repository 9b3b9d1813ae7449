"""Contradictions in Adobe's documentation: what a client that follows one page meets on another."""

import time

import pytest
from plain_http import AUTH, FLOW, PREP, REGISTRY, SERVICENOW, Onboarding, Plain

LATER = int(time.time()) + 36_000
BASE = {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW}


def changed(aep, path, *ops):
    [item] = aep("GET", path).json()["items"]
    return aep("PATCH", path, json=list(ops), headers={"If-Match": item["etag"]})


def test_the_mapping_is_not_always_the_first_transformation(aep, onboarding):
    """The sample patches /transformations/0, which is Copy in a flow with a Copy."""
    schedule = {"startTime": LATER, "frequency": "hour", "interval": 1}
    where = f"{FLOW}/flows/{onboarding.flow(schedule, 'sys_updated_on')}"
    step = {"name": "Mapping", "params": {"mappingId": onboarding.mapping["id"], "mappingVersion": 0}}
    assert (
        changed(aep, where, {"op": "replace", "path": "/transformations/0", "value": step}).json()["errorCode"]
        == "1392-400"
    )
    assert changed(aep, where, {"op": "replace", "path": "/transformations/1", "value": step}).status_code == 200


def test_an_on_demand_run_is_answered_with_items_and_found_by_its_id(aep, onboarding):
    """One page shows the whole run, one shows items, the OpenAPI file shows the id: the emulator returns items."""
    flow = onboarding.flow({"startTime": LATER, "frequency": "once"})
    params = {"windowStartTime": "1651584991", "windowEndTime": "1663735590", "deltaColumn": {"name": "sys_updated_on"}}
    answer = aep.post(f"{FLOW}/runs", {"flowId": flow, "params": params})
    assert list(answer) == ["items"]
    assert set(answer["items"][0]) == {"id", "etag"}
    assert aep("GET", f"{FLOW}/runs/{answer['items'][0]['id']}").status_code == 200


def test_only_a_failed_run_is_tried_again(aep, onboarding):
    """A note also allows successful runs without records; the emulator has the stricter rule."""
    flow = onboarding.flow()
    run = onboarding.run(flow)
    where = f"{FLOW}/runs/{run['id']}/action"
    aep.refused(400, "1387-400", "POST", where, params={"op": "RE_TRIGGER"})


@pytest.mark.parametrize(
    ("version", "start", "interval"), [("0", str(LATER), "1"), (0, LATER, 1)], ids=["text", "numbers"]
)
def test_numbers_may_be_strings(aep, onboarding, version, start, interval):
    """Samples contain "0" and 0, "1567411548" and 1567411548; a read returns the written form."""
    schedule = {"startTime": start, "frequency": "hour", "interval": interval}
    body = onboarding.flow_body(schedule, "sys_updated_on")
    body["transformations"][1]["params"]["mappingVersion"] = version
    flow = aep.post(f"{FLOW}/flows", body)["id"]
    [found] = aep("GET", f"{FLOW}/flows/{flow}").json()["items"]
    assert found["transformations"][1]["params"]["mappingVersion"] == version
    assert (found["scheduleParams"]["startTime"], found["scheduleParams"]["interval"]) == (start, interval)


def test_a_failed_run_has_unknown_counts_and_may_lack_its_end(make_emulator):
    """Unknown counts are -1, and completedAtUTC may be missing."""
    aep = Plain(make_emulator())
    onboarding = Onboarding(aep)
    aep.emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    run = onboarding.run(onboarding.flow())
    assert run["metrics"]["sizeSummary"]["inputBytes"] == -1
    assert run["metrics"]["fileSummary"]["inputFileCount"] == -1
    aep.emulator.world.faults.clear()
    aep.emulator.fault("RUN *", "run", outcome="no-completion")
    run = onboarding.run(onboarding.flow(name="other"))
    assert "completedAtUTC" not in run["metrics"]["durationSummary"]


def test_every_change_changes_the_etag(aep):
    """One page shows the same etag after a patch; another states that it changes."""
    made = aep.post(f"{FLOW}/connections", BASE)
    answer = changed(
        aep, f"{FLOW}/connections/{made['id']}", {"op": "add", "path": "/description", "value": "d"}
    ).json()
    assert answer["etag"] != made["etag"]
    assert answer["etag"].startswith('"')
    assert answer["etag"].endswith('"')


@pytest.mark.parametrize("path", [f"{FLOW}/flowSpecs", f"{FLOW}/flows", f"{FLOW}/connectionSpecs"])
def test_every_call_needs_a_token(aep, path):
    """Some samples have no Authorization header."""
    aep.refused(403, "403010", "GET", path, headers={"Authorization": None})


def test_limit_excludes_count_true(aep):
    """A client of another author sends count=False with limit; count=true is refused with 1401."""
    assert aep("GET", f"{FLOW}/flows?limit=10&count=False").json() == {"items": [], "_links": {}}
    aep.refused(400, "1401-400", "GET", f"{FLOW}/flows?limit=10&count=True")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-sandbox-name": None}, 400, "2105-400"),
        ({"x-sandbox-name": "nobody"}, 404, "2100-404"),
        ({"x-sandbox-id": "1"}, 400, "2110-400"),
        ({"x-sandbox-name": "*"}, 403, "2111-403"),
    ],
)
def test_the_sandbox_header(aep, headers, status, code):
    aep.refused(status, code, "GET", f"{FLOW}/flows", headers=headers)


def test_the_error_for_a_repeated_title_names_the_other_object(aep, onboarding):
    """A client can adopt the other object from the error alone."""
    body = {"title": "schema", "type": "object", "allOf": [{"$ref": "https://ns.adobe.com/xdm/context/profile"}]}
    said = aep.refused(400, "XDM-1521-400", "POST", f"{REGISTRY}/tenant/schemas", json=body)
    assert onboarding.schema in said


def test_a_mapping_set_has_a_name_only_if_its_request_has_one(aep, onboarding):
    """The documented request has no name, so a name cannot identify a mapping set."""
    assert "name" not in aep("GET", f"{PREP}/mappingSets/{onboarding.mapping['id']}").json()
    again = aep.post(f"{PREP}/mappingSets", onboarding.mapping_body, 200)
    assert again["id"] != onboarding.mapping["id"]


def test_objects_are_deleted_after_the_flow(aep, onboarding):
    flow = onboarding.flow({"startTime": LATER, "frequency": "once"})
    aep.refused(400, "1418-400", "DELETE", f"{FLOW}/connections/{onboarding.base}")
    aep.refused(400, "1447-400", "DELETE", f"{FLOW}/sourceConnections/{onboarding.source}")
    aep.refused(400, "1447-400", "DELETE", f"{FLOW}/targetConnections/{onboarding.target}")
    for kind, id_ in (("flows", flow), ("sourceConnections", onboarding.source), ("connections", onboarding.base)):
        assert aep("DELETE", f"{FLOW}/{kind}/{id_}").status_code == 204


def test_the_next_page_is_identified_by_a_token_alone(aep):
    """One client follows the whole link, another uses its token: both see every object once."""
    made = [aep.post(f"{FLOW}/connections", {**BASE, "name": f"n{n}"})["id"] for n in range(5)]
    for follow in (lambda href: href, lambda href: f"/connections?limit=2&continuationToken={href.split('=')[1]}"):
        found, where = [], "/connections?limit=2&property=state==enabled&orderby=createdAt"
        while where:
            page = aep("GET", FLOW + where).json()
            found += [i["id"] for i in page["items"]]
            href = page["_links"].get("next", {}).get("href")
            where = follow(href) if href else None
        assert found == made


@pytest.mark.parametrize("path", [f"{FLOW}/connections/", f"{FLOW}/flows/", f"{REGISTRY}/stats/"])
def test_a_trailing_slash_and_a_content_type_on_a_read_are_ignored(aep, path):
    assert aep("GET", path, headers={"Content-Type": "application/json; charset=utf-8"}).status_code == 200


@pytest.mark.parametrize("op", ["add", "ADD", "Add"])
def test_actions_in_upper_and_lower_case(aep, op):
    where = f"{FLOW}/connections/{aep.post(f'{FLOW}/connections', BASE)['id']}"
    assert changed(aep, where, {"op": op, "path": "/description", "value": "d"}).status_code == 200


def test_a_patch_with_its_etag_in_the_query(aep):
    made = aep.post(f"{FLOW}/connections", BASE)
    ops = [{"op": "replace", "path": "/name", "value": "n"}]
    assert (
        aep("PATCH", f"{FLOW}/connections/{made['id']}", json=ops, params={"if-match": made["etag"]}).status_code == 200
    )


@pytest.mark.parametrize("media", ["xed-full", "xdm-full", "xed", "xdm", "xed-notext", "xed-full-desc"])
def test_xed_and_xdm_are_synonyms_in_accept(aep, onboarding, media):
    accept = {"Accept": f"application/vnd.adobe.{media}+json; version=1"}
    by_alt_id = onboarding.schema.removeprefix("https://ns.adobe.com/").replace("/", ".")
    found = aep("GET", f"{REGISTRY}/tenant/schemas/_{by_alt_id}", headers=accept).json()
    assert found["$id"] == onboarding.schema
    assert ("title" in found) is (media != "xed-notext")
    assert ("properties" in found) is ("full" in media)

"""The traps in Adobe's own documents, each by its name: what a client that believes one page meets on another."""

import time

import pytest
from plain_http import AUTH, FLOW, PREP, REGISTRY, SERVICENOW, Onboarding, Plain

LATER = int(time.time()) + 36_000
BASE = {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW}


def changed(aep, path, *ops):
    [item] = aep("GET", path).json()["items"]
    return aep("PATCH", path, json=list(ops), headers={"If-Match": item["etag"]})


def test_the_mapping_is_not_always_the_first_transformation(aep, onboarding):
    """The sample patches /transformations/0; where there is a Copy, that is the Copy."""
    schedule = {"startTime": LATER, "frequency": "hour", "interval": 1}
    where = f"{FLOW}/flows/{onboarding.flow(schedule, 'sys_updated_on')}"
    step = {"name": "Mapping", "params": {"mappingId": onboarding.mapping["id"], "mappingVersion": 0}}
    assert (
        changed(aep, where, {"op": "replace", "path": "/transformations/0", "value": step}).json()["errorCode"]
        == "1392-400"
    )
    assert changed(aep, where, {"op": "replace", "path": "/transformations/1", "value": step}).status_code == 200


def test_a_run_on_demand_is_answered_as_its_page_says_and_found_by_its_id(aep, onboarding):
    """One page answers with the whole run, one with items, the OpenAPI file with the id alone: this is the second."""
    flow = onboarding.flow({"startTime": LATER, "frequency": "once"})
    params = {"windowStartTime": "1651584991", "windowEndTime": "1663735590", "deltaColumn": {"name": "sys_updated_on"}}
    answer = aep.post(f"{FLOW}/runs", {"flowId": flow, "params": params})
    assert list(answer) == ["items"]
    assert set(answer["items"][0]) == {"id", "etag"}
    assert aep("GET", f"{FLOW}/runs/{answer['items'][0]['id']}").status_code == 200


def test_only_a_failed_run_is_tried_again(aep, onboarding):
    """A note also allows successes without records; the rule is the stricter one."""
    flow = onboarding.flow()
    run = onboarding.run(flow)
    where = f"{FLOW}/runs/{run['id']}/action"
    aep.refused(400, "1387-400", "POST", where, params={"op": "RE_TRIGGER"})


@pytest.mark.parametrize(
    ("version", "start", "interval"), [("0", str(LATER), "1"), (0, LATER, 1)], ids=["text", "numbers"]
)
def test_numbers_come_as_text_and_as_numbers(aep, onboarding, version, start, interval):
    """Samples write "0" and 0, "1567411548" and 1567411548; what was written is what is read."""
    schedule = {"startTime": start, "frequency": "hour", "interval": interval}
    body = onboarding.flow_body(schedule, "sys_updated_on")
    body["transformations"][1]["params"]["mappingVersion"] = version
    flow = aep.post(f"{FLOW}/flows", body)["id"]
    [found] = aep("GET", f"{FLOW}/flows/{flow}").json()["items"]
    assert found["transformations"][1]["params"]["mappingVersion"] == version
    assert (found["scheduleParams"]["startTime"], found["scheduleParams"]["interval"]) == (start, interval)


def test_a_failed_run_knows_no_numbers_and_may_know_no_end(make_emulator):
    """-1 stands for what is not known, and completedAtUTC may be missing."""
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


def test_every_change_moves_the_etag(aep):
    """One page prints the same etag after a patch; the rule on another is that it moves."""
    made = aep.post(f"{FLOW}/connections", BASE)
    answer = changed(
        aep, f"{FLOW}/connections/{made['id']}", {"op": "add", "path": "/description", "value": "d"}
    ).json()
    assert answer["etag"] != made["etag"]
    assert answer["etag"].startswith('"')
    assert answer["etag"].endswith('"')


@pytest.mark.parametrize("path", [f"{FLOW}/flowSpecs", f"{FLOW}/flows", f"{FLOW}/connectionSpecs"])
def test_no_call_goes_without_a_token(aep, path):
    """Some samples have no Authorization header."""
    aep.refused(403, "403010", "GET", path, headers={"Authorization": None})


def test_limit_and_count_go_together_only_while_count_is_false(aep):
    """A client that others wrote sends count=False beside limit; count=true is 1401."""
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


def test_a_title_that_is_taken_names_who_has_it(aep, onboarding):
    """So the other one can be adopted from the error alone."""
    body = {"title": "schema", "type": "object", "allOf": [{"$ref": "https://ns.adobe.com/xdm/context/profile"}]}
    said = aep.refused(400, "XDM-1521-400", "POST", f"{REGISTRY}/tenant/schemas", json=body)
    assert onboarding.schema in said


def test_a_mapping_set_has_no_name_unless_it_was_given_one(aep, onboarding):
    """The printed request has none, so it cannot be what tells two sets apart."""
    assert "name" not in aep("GET", f"{PREP}/mappingSets/{onboarding.mapping['id']}").json()
    again = aep.post(f"{PREP}/mappingSets", onboarding.mapping_body, 200)
    assert again["id"] != onboarding.mapping["id"]


def test_what_is_in_use_is_deleted_from_the_flow_on(aep, onboarding):
    flow = onboarding.flow({"startTime": LATER, "frequency": "once"})
    aep.refused(400, "1418-400", "DELETE", f"{FLOW}/connections/{onboarding.base}")
    aep.refused(400, "1447-400", "DELETE", f"{FLOW}/sourceConnections/{onboarding.source}")
    aep.refused(400, "1447-400", "DELETE", f"{FLOW}/targetConnections/{onboarding.target}")
    for kind, id_ in (("flows", flow), ("sourceConnections", onboarding.source), ("connections", onboarding.base)):
        assert aep("DELETE", f"{FLOW}/{kind}/{id_}").status_code == 204


def test_the_next_page_is_a_token_and_nothing_else(aep):
    """One client follows the whole link, another takes the token out of it: both see every object once."""
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
def test_a_trailing_slash_and_a_content_type_on_a_read_do_no_harm(aep, path):
    assert aep("GET", path, headers={"Content-Type": "application/json; charset=utf-8"}).status_code == 200


@pytest.mark.parametrize("op", ["add", "ADD", "Add"])
def test_operations_in_upper_and_lower_case(aep, op):
    where = f"{FLOW}/connections/{aep.post(f'{FLOW}/connections', BASE)['id']}"
    assert changed(aep, where, {"op": op, "path": "/description", "value": "d"}).status_code == 200


def test_a_patch_with_its_etag_in_the_query_as_a_collection_sends_it(aep):
    made = aep.post(f"{FLOW}/connections", BASE)
    ops = [{"op": "replace", "path": "/name", "value": "n"}]
    assert (
        aep("PATCH", f"{FLOW}/connections/{made['id']}", json=ops, params={"if-match": made["etag"]}).status_code == 200
    )


@pytest.mark.parametrize("media", ["xed-full", "xdm-full", "xed", "xdm", "xed-notext", "xed-full-desc"])
def test_the_same_forms_under_both_names(aep, onboarding, media):
    accept = {"Accept": f"application/vnd.adobe.{media}+json; version=1"}
    by_alt_id = onboarding.schema.removeprefix("https://ns.adobe.com/").replace("/", ".")
    found = aep("GET", f"{REGISTRY}/tenant/schemas/_{by_alt_id}", headers=accept).json()
    assert found["$id"] == onboarding.schema
    assert ("title" in found) is (media != "xed-notext")
    assert ("properties" in found) is ("full" in media)

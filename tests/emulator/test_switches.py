"""Switches: each value, as a plain client sees it."""

import pytest
from choice_samples import CHOICE_SAMPLES
from plain_http import AUTH, FLOW, PREP, SERVICENOW, Onboarding, Plain

from aep_data_prep.values import text_of
from aep_emulator.core.switches import SWITCHES, choices

START = 1_767_225_600
BASE = {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW}


def assuming(make_emulator, *choice, **options):
    emulator = make_emulator(assume=choice, **options)
    emulator.freeze(START - 100)
    return Plain(emulator)


def unique_names(aep):
    aep.post(f"{FLOW}/connections", BASE)
    return {201: "no", 400: "yes"}[aep("POST", f"{FLOW}/connections", json=BASE).status_code]


def mapping_set_name(aep):
    made = aep.post(f"{PREP}/mappingSets", {**Onboarding(aep).mapping_body, "name": "n"}, 200)
    found = aep("GET", f"{PREP}/mappingSets/{made['id']}").json()
    listed = aep("GET", f"{PREP}/mappingSets", params={"name": "n", "limit": 5}).json()["data"]
    assert len(listed) == (1 if "name" in found else 0)
    return "kept" if found.get("name") == "n" else "dropped"


def run_params(aep):
    flow = Onboarding(aep).flow({"startTime": START, "frequency": "once"})
    params = {"windowStartTime": 1, "windowEndTime": 2, "deltaColumn": {"name": "sys_updated_on"}}
    run = aep.post(f"{FLOW}/runs", {"flowId": flow, "params": params})["items"][0]["id"]
    shown = aep("GET", f"{FLOW}/runs/{run}").json()["items"][0]["params"]
    return {1: "echoed", None: "dropped"}[shown.get("windowStartTime")]


def secrets(aep):
    made = aep.post(f"{FLOW}/connections", BASE)
    for answer in (aep("GET", f"{FLOW}/connections/{made['id']}"), aep("GET", f"{FLOW}/connections")):
        params = answer.json()["items"][0]["auth"]["params"]
        assert params["username"] == "u"
    return {"******": "masked", None: "absent"}[params.get("password")]


def test_failure(aep):
    made = aep.post(f"{FLOW}/connections", BASE)
    aep.emulator.fault("GET */test", "login")
    answer = aep("GET", f"{FLOW}/connections/{made['id']}/test")
    return "result" if answer.json() == {"result": False} else {"1308-400": "error"}[answer.json()["errorCode"]]


test_failure.__test__ = False


def flow_delete(aep):
    onboarding = Onboarding(aep)
    flow = onboarding.flow({"startTime": START, "frequency": "once"})
    assert aep("DELETE", f"{FLOW}/flows/{flow}").status_code == 204
    found = aep("GET", f"{FLOW}/sourceConnections/{onboarding.source}").status_code
    assert found == aep("GET", f"{FLOW}/targetConnections/{onboarding.target}").status_code
    return {200: "alone", 404: "cascades"}[found]


def partial_status(aep):
    onboarding = Onboarding(
        aep, mappings={"sys_id": "_id", "birth_date": "person.birthDate", "gender": "person.gender"}
    )
    flow = onboarding.flow({"startTime": START, "frequency": "once"})
    aep.emulator.advance(101)
    [run] = aep("GET", f"{FLOW}/runs", params={"property": f"flowId=={flow}"}).json()["items"]
    assert 0 < run["metrics"]["recordSummary"]["failedRecordCount"] < 50
    return run["metrics"]["statusSummary"]["status"]


def draft_parents(aep):
    base = aep.post(f"{FLOW}/connections?mode=draft", BASE)["id"]
    body = {"name": "s", "baseConnectionId": base, "data": {"format": "tabular"}, "params": {"tableName": "incident"},
            "connectionSpec": SERVICENOW}  # fmt: skip
    return {400: "checked", 201: "free"}[aep("POST", f"{FLOW}/sourceConnections", json=body).status_code]


def window_end(aep):
    flow = Onboarding(aep, "people", {"id": "_id"}).flow({"startTime": START, "frequency": "once"})
    params = {"windowStartTime": START - 60, "windowEndTime": START, "deltaColumn": {"name": "at"}}
    run = aep.post(f"{FLOW}/runs", {"flowId": flow, "params": params})["items"][0]["id"]
    aep.emulator.advance(1)
    [run] = aep("GET", f"{FLOW}/runs/{run}").json()["items"]
    return {1: "exclusive", 2: "inclusive"}[run["metrics"]["recordSummary"]["inputRecordCount"]]


def re_trigger(aep):
    flow = Onboarding(aep, "people", {"id": "_id"}).flow({"startTime": START, "frequency": "once"})
    aep.emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    params = {"windowStartTime": START - 60, "windowEndTime": START, "deltaColumn": {"name": "at"}}
    run = aep.post(f"{FLOW}/runs", {"flowId": flow, "params": params})["items"][0]["id"]
    aep.emulator.advance(1)
    again = aep("POST", f"{FLOW}/runs/{run}/action", params={"op": "RE_TRIGGER"}).json()["id"]
    return "same-run" if again == run else "new-run"


def expression_validation(aep):
    answer = aep("POST", f"{PREP}/languages/el/validate", json={"expression": "upper(a)"}).json()
    return "boolean" if answer is True else {"succeeded": "object"}[answer["validationStatus"]]


def previewed(aep, expression):
    """Preview an expression for a text field, with a row without columns."""
    mapping = {"sourceType": "EXPRESSION", "source": expression, "destination": "personID"}
    body = {**Onboarding(aep).mapping_body, "mappings": [mapping]}
    return aep("POST", f"{PREP}/mappingSets/preview", json={"data": {}, "mappingSet": body}).json()


def transform_error(aep):
    mapping = {"sourceType": "EXPRESSION", "source": 'date("?", "yyyy")', "destination": "person.birthDate"}
    body = {**Onboarding(aep).mapping_body, "mappings": [mapping]}
    answer = aep("POST", f"{PREP}/mappingSets/preview", json={"data": {}, "mappingSet": body}).json()
    assert len(answer["errors"]) == 1
    return "reject" if answer["data"] is None else "null"


def choice(name):
    def seen(aep):
        expression, *results = CHOICE_SAMPLES[name]
        answer = previewed(aep, expression)
        found = "error" if answer["errors"] else answer["data"].get("personID")
        values = next(s.values for s in SWITCHES if s.name == name)
        # An object does not fit the text field.
        texts = [r if r is None else text_of(r) if isinstance(r, int | str) else "error" for r in results]
        return values[texts.index(found)]

    return seen


SEEN = {s.name: globals().get(s.name.replace("-", "_")) or choice(s.name) for s in SWITCHES}


@pytest.mark.parametrize(("switch", "value"), [(s.name, v) for s in SWITCHES for v in s.values])
def test_a_switch_changes_the_behaviour(make_emulator, tmp_path, switch, value):
    folder = None
    if switch in {"window-end", "re-trigger"}:
        folder = tmp_path / "src"
        folder.mkdir()
        moments = ("2025-12-31T23:59:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z")
        (folder / "people.csv").write_text("id,at\n" + "".join(f"{n},{m}\n" for n, m in enumerate(moments)))
    assert SEEN[switch](assuming(make_emulator, f"{switch}={value}", source_data=folder)) == value


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda s: s.name)
def test_the_first_value_is_the_default(switch):
    assert choices([])[switch.name] == switch.values[0]


@pytest.mark.parametrize(
    ("assumption", "message"),
    [("colour=red", "unknown switch 'colour'"), ("secrets=loud", "secrets is masked or absent"), ("secrets", "not ''")],
)
def test_an_invalid_switch_is_refused(assumption, message):
    with pytest.raises(ValueError, match=message):
        choices([assumption])

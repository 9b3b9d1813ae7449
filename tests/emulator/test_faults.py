"""Faults and the clock, as a plain HTTP client sees them."""

import time

import httpx
import pytest
from plain_http import AUTH, FLOW, REGISTRY, SERVICENOW, Onboarding, Plain

BODY = {"name": "base", "auth": AUTH, "connectionSpec": SERVICENOW}
CONNECTIONS = f"{FLOW}/connections"
CREATE = f"POST {CONNECTIONS}"


@pytest.fixture
def fault(aep):
    """Add a rule, and return its id."""

    def add(operation=CREATE, **rule):
        answer = aep.http.post("/_emulator/faults", json={"operation": operation, **rule})
        assert answer.status_code == 201, answer.text
        return answer.json()["ids"][0]

    return add


def fired(aep):
    return [(f["seen"], f["fired"]) for f in aep.http.get("/_emulator/faults").json()["faults"]]


def count(aep):
    return len(aep("GET", CONNECTIONS).json()["items"])


# -- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "status", "code"),
    [
        ({"status": 429}, 429, "429050"),
        ({"status": 500}, 500, "1102-500"),
        ({"status": 503}, 503, "1103-503"),
        ({"status": 504}, 504, "1104-504"),
        ({"status": 400, "code": "1405-400"}, 400, "1405-400"),
        ({"status": 403, "code": "403025"}, 403, "403025"),
    ],
)
def test_an_answer_before_the_commit(aep, fault, rule, status, code):
    fault(do="answer", **rule)
    aep.refused(status, code, "POST", CONNECTIONS, json=BODY)
    assert count(aep) == 0


def test_a_code_that_no_service_has(aep, fault):
    fault(do="answer", status=418)
    assert aep("POST", CONNECTIONS, json=BODY).status_code == 418


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (2, "2"), (0.5, "0.5")])
def test_throttling_with_and_without_retry_after(aep, fault, seconds, header):
    fault(do="answer", status=429, **({} if seconds is None else {"retry_after": seconds}))
    assert aep("POST", CONNECTIONS, json=BODY).headers.get("retry-after") == header


def test_an_answer_after_the_commit(aep, fault):
    fault(do="answer", status=504, commit="now")
    assert aep("POST", CONNECTIONS, json=BODY).status_code == 504
    assert count(aep) == 1


def test_a_commit_seconds_after_the_answer(aep, fault):
    freeze(aep)
    fault(do="answer", status=504, commit=30)
    assert aep("POST", CONNECTIONS, json=BODY).status_code == 504
    advance(aep, 29)
    assert count(aep) == 0
    advance(aep, 2)
    [made] = aep("GET", CONNECTIONS).json()["items"]
    assert made["createdAt"] == int((now(aep) - 1) * 1000)


def test_a_postponed_operation_is_admitted_at_its_request(emulator, aep, fault):
    """The token may expire before the commit. A request that was not admitted is never executed."""
    freeze(aep)
    fault(do="answer", status=504, commit=30, calls=[1])
    assert aep("POST", CONNECTIONS, json=BODY).status_code == 504
    emulator.world.store.drop_token(aep.headers["Authorization"].removeprefix("Bearer "))
    advance(aep, 31)
    assert len(emulator.world.store.everywhere("connections")) == 1
    fault(do="answer", status=504, commit=30, calls=[1])
    aep.refused(401, "401013", "POST", CONNECTIONS, json=BODY)
    advance(aep, 31)
    assert len(emulator.world.store.everywhere("connections")) == 1


def test_a_postponed_operation_that_is_refused_changes_nothing(aep, fault):
    freeze(aep)
    fault(do="answer", status=504, commit=1)
    assert aep("POST", CONNECTIONS, json={**BODY, "name": ""}).status_code == 504
    advance(aep, 2)
    assert count(aep) == 0


# -- connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("commit", "made"), [("never", 0), ("now", 1)])
def test_a_reset(aep, fault, commit, made):
    fault(do="reset", commit=commit)
    with pytest.raises(httpx.TransportError):
        aep("POST", CONNECTIONS, json=BODY)
    assert count(aep) == made


def test_a_hang(aep, fault):
    fault(do="hang", seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        aep("POST", CONNECTIONS, json=BODY, timeout=0.3)
    assert count(aep) == 0  # others are served meanwhile


def test_a_hang_ends_in_a_reset(aep, fault):
    fault(do="hang", seconds=0.2, commit="now")
    with pytest.raises(httpx.RemoteProtocolError):
        aep("POST", CONNECTIONS, json=BODY)
    assert count(aep) == 1


def test_a_slow_answer(aep, fault):
    fault(do="slow", seconds=0.3)
    started = time.monotonic()
    assert aep("POST", CONNECTIONS, json=BODY).status_code == 201
    assert time.monotonic() - started >= 0.3


def test_a_cut_body(aep, fault):
    fault(do="cut", bytes=5)
    with pytest.raises(httpx.RemoteProtocolError):
        aep("POST", CONNECTIONS, json=BODY)
    assert count(aep) == 1


# -- tokens, etags, lists -------------------------------------------------------------------------------------------


def test_a_revoked_token(aep, fault):
    fault(do="revoke", calls=[1])
    aep.refused(401, "401013", "POST", CONNECTIONS, json=BODY)
    aep.refused(401, "401013", "POST", CONNECTIONS, json=BODY)  # it is gone for good


def test_faults_apply_to_ims(aep, fault):
    fault("POST token", do="answer", status=503)
    answer = aep.http.post("/ims/token/v3", data={})
    assert (answer.status_code, set(answer.json())) == (503, {"error", "error_description"})


@pytest.mark.parametrize("rule", [{"do": "race"}, {"do": "lag", "seconds": 100}, {"do": "revoke"}])
def test_a_rule_fires_only_where_it_has_an_effect(aep, fault, rule):
    fault("*", **rule)
    token(aep)
    aep("POST", CONNECTIONS, json=BODY)
    assert fired(aep) == [(1, 1) if rule["do"] == "revoke" else (0, 0)]


def test_a_run_that_a_fault_fails_writes_nothing_to_the_lake(emulator, aep, fault):
    fault("RUN *", do="run", outcome="failed", calls=[1])
    onboarding = Onboarding(aep)
    run = onboarding.run(onboarding.flow())
    assert run["metrics"]["statusSummary"]["status"] == "failed"
    assert list(emulator.lake.rglob("*.parquet")) == []


def test_a_delay_of_less_than_a_millisecond_ends(make_emulator):
    aep = Plain(make_emulator(run_delay=0.33333))
    freeze(aep)
    onboarding = Onboarding(aep)
    flow = onboarding.flow({"startTime": int(now(aep)) + 5, "frequency": "once"})
    advance(aep, 10)
    assert len(runs_of(aep, flow)) == 1


def test_a_race(aep, fault):
    made = aep.post(CONNECTIONS, BODY)
    fault(f"PATCH {CONNECTIONS}/*", do="race", calls=[1])
    where, ops = f"{CONNECTIONS}/{made['id']}", [{"op": "replace", "path": "/name", "value": "x"}]
    aep.refused(412, "1404-412", "PATCH", where, headers={"If-Match": made["etag"]}, json=ops)
    fresh = aep("GET", where).json()["items"][0]["etag"]
    assert fresh != made["etag"]
    assert aep("PATCH", where, headers={"If-Match": fresh}, json=ops).status_code == 200


@pytest.mark.parametrize(
    ("resource", "listed"),
    [
        (CONNECTIONS, lambda answer: answer["items"]),
        (f"{REGISTRY}/tenant/schemas", lambda answer: answer["results"]),
        ("/data/foundation/catalog/dataSets", list),
        ("/data/foundation/conversion/mappingSets", lambda answer: answer["data"]),
    ],
)
def test_a_list_lags_and_a_read_does_not(aep, fault, resource, listed):
    freeze(aep)
    onboarding = Onboarding(aep)
    fault(f"GET {resource}", do="lag", seconds=10)
    headers = {"Accept": "application/vnd.adobe.xed-id+json"} if "registry" in resource else {}

    def seen():
        return len(listed(aep("GET", resource, headers=headers, params={"limit": 10}).json()))

    assert seen() == 0
    assert aep("GET", f"{CONNECTIONS}/{onboarding.base}").status_code == 200
    advance(aep, 11)
    assert seen() == 1


# -- which calls ----------------------------------------------------------------------------------------------------


def test_only_matching_calls_are_counted(aep, fault):
    fault(do="answer", status=503, calls=[2, 4])
    aep("GET", CONNECTIONS)
    assert [aep("POST", CONNECTIONS, json=BODY).status_code for _ in range(5)] == [201, 503, 201, 503, 201]
    assert fired(aep) == [(5, 2)]


def test_a_rate_is_drawn_from_its_seed(aep, fault):
    def statuses(seed):
        assert aep.http.delete("/_emulator/faults").status_code == 204
        fault(f"GET {CONNECTIONS}", do="answer", status=503, rate=0.5, seed=seed)
        return [aep("GET", CONNECTIONS).status_code for _ in range(20)]

    assert statuses(1) == statuses(1) != statuses(2)
    assert {200, 503} == set(statuses(1))


def test_the_first_rule_that_fires_decides_and_all_rules_count(aep, fault):
    fault(do="answer", status=503, calls=[2])
    fault("POST *", do="answer", status=500)
    assert [aep("POST", CONNECTIONS, json=BODY).status_code for _ in range(2)] == [500, 503]
    assert fired(aep) == [(2, 1), (2, 1)]
    faults = [e["fault"] for e in aep.http.get("/_emulator/requests").json()["requests"]]
    assert faults == ["", "answer", "answer"]  # the token, then these


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"do": "explode"}, "do: "),
        ({"do": "answer"}, "needs status"),
        ({"do": "answer", "status": 200}, "status: "),
        ({"do": "reset", "seconds": 1}, "does not use seconds"),
        ({"do": "slow", "seconds": 1, "commit": "now"}, "does not use commit"),
        ({"do": "slow", "seconds": 1, "code": "1405-400"}, "does not use code"),
        ({"do": "reset", "calls": [0]}, "numbers from 1"),
        ({"do": "reset", "calls": [1], "rate": 0.5}, "exclude rate"),
        ({"do": "run", "outcome": "failed"}, "needs an operation RUN"),
        ({"do": "reset", "more": 1}, "more: "),
        ({"do": "answer", "status": 400, "code": "invalid_client"}, "code: "),
        ({"do": "answer", "status": 503, "code": "1405-400"}, "status and code disagree"),
    ],
)
def test_an_invalid_rule_is_refused(aep, rule, message):
    good = {"operation": CREATE, "do": "reset"}
    answer = aep.http.post("/_emulator/faults", json=[good, {"operation": CREATE, **rule}])
    assert answer.status_code == 400
    assert message in answer.json()["detail"]
    assert fired(aep) == []  # all or none


def test_a_page_of_a_browser_cannot_add_rules(aep):
    answer = aep.http.post("/_emulator/faults", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


# -- runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["failed", "partial", "unknown-counts", "no-completion", "vanish", "renamed"])
def test_a_fault_changes_the_outcome_of_a_run(aep, fault, outcome):
    onboarding = Onboarding(aep)
    freeze(aep)
    fault("RUN fl*", do="run", outcome=outcome)
    flow = onboarding.flow({"startTime": int(now(aep)) + 60, "frequency": "once"})
    assert runs_of(aep, flow) == []
    advance(aep, 61)
    assert fired(aep) == [(1, 1)]
    runs = runs_of(aep, flow)
    if outcome == "vanish":
        assert runs == []
        return
    [run] = runs
    counts, ended = run["metrics"]["recordSummary"], run["metrics"]["durationSummary"]
    status = run["metrics"]["statusSummary"]["status"]
    assert status == ("failed" if outcome == "failed" else "success")
    assert (counts["inputRecordCount"] == -1) is (outcome in {"failed", "unknown-counts"})
    assert ("completedAtUTC" in ended) is (outcome != "no-completion")
    if outcome == "partial":
        assert counts["failedRecordCount"] == 4  # three rows of the sample, and one
    details = aep("GET", f"{FLOW}/flows/{flow}").json()["items"][0]["lastRunDetails"]
    assert details["id"] == run["id"]


def runs_of(aep, flow):
    return aep("GET", f"{FLOW}/runs", params={"property": f"flowId=={flow}"}).json()["items"]


# -- time -----------------------------------------------------------------------------------------------------------


def clock(aep, **body):
    answer = aep.http.post("/_emulator/clock", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def freeze(aep):
    clock(aep, frozen=True)


def advance(aep, seconds):
    clock(aep, advance=seconds)


def now(aep):
    return aep.http.get("/_emulator/clock").json()["now"]


def test_a_clock_is_frozen_advanced_and_thawed(aep):
    assert abs(now(aep) - time.time()) < 5
    at = clock(aep, frozen=True)["now"]
    assert now(aep) == at
    assert clock(aep, advance=100)["now"] == at + 100
    assert clock(aep, now=1_000_000_000)["now"] == 1_000_000_000
    assert clock(aep, frozen=False)["frozen"] is False
    assert abs(now(aep) - time.time()) < 5


@pytest.mark.parametrize(
    "body",
    [
        {"frozen": False, "advance": 1},
        {"frozen": True, "advance": 1e9},
        {},
        {"advance": 1},
        {"advance": -1},
        {"advance": "1"},
        {"now": "x"},
        {"frozen": 1},
        {"other": 1},
        [1],
    ],
)
def test_an_invalid_clock_request_is_refused(aep, body):
    assert aep.http.post("/_emulator/clock", json=body).status_code == 400


def test_advancing_by_days_runs_an_hourly_flow(make_emulator):
    """Each run is at its due time and has its own window. All windows together contain all rows."""
    aep = Plain(make_emulator(run_delay=150))
    onboarding = Onboarding(aep)
    clock(aep, now=1_751_328_000)  # 2025-07-01
    aep.headers["Authorization"] = f"Bearer {token(aep)}"
    start = 1_751_328_000 + 3600
    schedule = {"startTime": start, "frequency": "hour", "interval": 1, "backfill": False}
    flow = onboarding.flow(schedule, delta="sys_updated_on")
    advance(aep, 24 * 3600)
    aep.headers["Authorization"] = f"Bearer {token(aep)}"  # a token lives a day
    runs = aep("GET", f"{FLOW}/runs", params={"property": f"flowId=={flow}", "limit": 100}).json()["items"]
    assert len(runs) == 23
    assert [r["createdAt"] for r in runs] == [(start + 3600 * n + 150) * 1000 for n in range(23)]
    windows = [r["metrics"]["durationSummary"]["extensions"] for r in runs]
    assert all(a["windowEnd"] == b["windowStart"] for a, b in zip(windows[1:], windows[2:], strict=False))
    assert sum(r["metrics"]["recordSummary"]["inputRecordCount"] for r in runs) > 0


def test_a_token_expires_by_the_emulators_clock(aep):
    freeze(aep)
    advance(aep, 25 * 3600)
    aep.refused(401, "401013", "GET", CONNECTIONS)


def token(aep):
    options = aep.emulator.world.options
    form = {"grant_type": "client_credentials", "scope": "openid"}
    form |= {"client_id": options.client_id, "client_secret": options.client_secret}
    return aep.http.post("/ims/token/v3", data=form).json()["access_token"]


@pytest.mark.parametrize("effect", [{"do": "reset"}, {"do": "hang", "seconds": 0.01}])
def test_an_operation_without_a_response_is_executed_later(aep, fault, effect):
    freeze(aep)
    fault(f"POST {CONNECTIONS}", commit=30, calls=[1], **effect)
    with pytest.raises(httpx.TransportError):
        aep("POST", CONNECTIONS, json={"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW})
    assert aep.http.get("/_emulator/requests").json()["requests"][-1]["status"] == 0
    assert aep("GET", CONNECTIONS).json()["items"] == []
    advance(aep, 29)
    assert aep("GET", CONNECTIONS).json()["items"] == []
    advance(aep, 1)
    assert [i["name"] for i in aep("GET", CONNECTIONS).json()["items"]] == ["b"]


def test_a_refused_login_is_answered_after_the_gateways_checks(aep, fault):
    made = aep.post(CONNECTIONS, {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW})["id"]
    where = f"{CONNECTIONS}/{made}/explore"
    fault("GET */explore", do="login")
    aep.refused(401, "401013", "GET", where, headers={"Authorization": "Bearer nobody"})
    aep.refused(400, "1308-400", "GET", where, params={"objectType": "root"})


@pytest.mark.parametrize(
    ("outcome", "seen"),
    [
        ("unknown-counts", lambda run: set(run["metrics"]["recordSummary"].values()) == {-1}),
        ("partial", lambda run: run["metrics"]["statusSummary"]["errors"][0]["code"] == "CONNECTOR-2001-500"),
    ],
)
def test_metrics_of_an_irregular_run(aep, fault, outcome, seen):
    fault("RUN *", do="run", outcome=outcome)
    onboarding = Onboarding(aep)
    assert seen(onboarding.run(onboarding.flow()))

"""The rules that are checked before anything is written: names, schedules, mappings, auth parameters."""

import re

import pytest

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import ConnectionSpec
from airflow_provider_aep.onboarding.connection_spec import checked_auth
from airflow_provider_aep.onboarding.mapping import mapping_set
from airflow_provider_aep.onboarding.names import ONBOARDING_PATTERN, Names, checked_name
from airflow_provider_aep.onboarding.schedule import delta_transformation, schedule_params

# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "Customer success (EU) base", "a_b.c:d/e-f", "x" * 100, "2026"])
def test_a_good_name_is_kept(name):
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", " a", "a ", "x" * 101, "a,b", 'a"b', "a==b", "a&b", "a~b", "é", "a\nb", None, 5])
def test_a_name_that_a_filter_could_not_find_is_refused(name):
    with pytest.raises(AepConfigurationError, match=r"dataset name is .*1 to 100 letters") as caught:
        checked_name(name, "dataset name")
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["a", "Customer success (EU)", "x" * 80, "2026", "a."])
def test_an_onboarding_of_a_good_name_makes_good_names(name):
    assert re.fullmatch(ONBOARDING_PATTERN, name)
    assert all(checked_name(n) for n in vars(Names(name)).values())


@pytest.mark.parametrize("name", ["", " a", "a ", "É", "a,b", "x" * 81, "-a", "abc\n"])
def test_the_pattern_refuses_what_would_make_a_bad_name(name):
    assert not re.search(ONBOARDING_PATTERN, name)  # as JSON Schema does


def test_everything_of_an_onboarding_has_a_name_of_its_own():
    names = vars(Names("X"))
    assert len(set(names.values())) == len(names) == 10
    assert names["source_class"] == "X source class"
    assert all(checked_name(n) and n.startswith("X ") for n in names.values())


# -- schedules ------------------------------------------------------------------------------------------------------


def test_a_one_time_flow_has_a_start_and_nothing_else():
    params = schedule_params(frequency="once", start_in_minutes=1.5, now=1000.2)
    assert params == {"startTime": 1091, "frequency": "once"}


@pytest.mark.parametrize(
    ("frequency", "interval", "expected"),
    [("minute", None, 15), ("minute", 15, 15), ("hour", None, 1), ("day", 7, 7), ("week", 1, 1)],
)
def test_a_scheduled_flow_has_an_interval_and_takes_the_past(frequency, interval, expected):
    params = schedule_params(frequency=frequency, start_in_minutes=1, now=0, interval=interval)
    assert params == {"startTime": 60, "frequency": frequency, "interval": expected, "backfill": True}


def test_backfill_can_be_declined():
    assert schedule_params(frequency="day", start_in_minutes=1, now=0, backfill=False)["backfill"] is False


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"frequency": "hourly"}, "frequency is 'hourly'.*once, minute, hour, day, week.*1397-400"),
        ({"frequency": None}, "frequency is None"),
        ({"start_in_minutes": 0}, "start_in_minutes is 0.*above 0.*1360-400"),
        ({"start_in_minutes": -1}, "start_in_minutes is -1"),
        ({"start_in_minutes": "soon"}, "start_in_minutes is 'soon'"),
        ({"start_in_minutes": True}, "start_in_minutes is True"),
        ({"start_in_minutes": float("nan")}, "start_in_minutes is nan"),
        ({"start_in_minutes": float("inf")}, "start_in_minutes is inf"),
        ({"interval": 1}, "interval is 1.*left out when frequency is once.*1361-400"),
        ({"backfill": True}, "backfill is True.*left out when frequency is once.*1364-400"),
        ({"backfill": False}, "backfill is False"),
        ({"frequency": "minute", "interval": 14}, "interval is 14.*at least 15 when frequency is minute.*1362-400"),
        ({"frequency": "hour", "interval": 0}, "interval is 0.*at least 1 when frequency is hour"),
        ({"frequency": "hour", "interval": "1"}, "interval is '1'"),
        ({"frequency": "hour", "interval": True}, "interval is True"),
        ({"frequency": "hour", "interval": 1.5}, "interval is 1.5"),
        ({"frequency": "hour", "backfill": "yes"}, "backfill is 'yes'.*true or false"),
    ],
)
def test_a_schedule_that_aep_would_refuse_is_refused(given, says):
    with pytest.raises(AepConfigurationError, match=says):
        schedule_params(**{"frequency": "once", "start_in_minutes": 1, "now": 0, **given})


COLUMNS = [
    {"name": "id", "type": "string", "xdm": {"type": "string"}},
    {"name": "n", "type": "integer", "xdm": {"type": "integer"}},
    {"name": "x", "type": "double", "xdm": {"type": "number"}},
    {"name": "ok", "type": "boolean", "xdm": {"type": "boolean"}},
    {"name": "born", "type": "date", "xdm": {"type": "string", "format": "date"}},
    {"name": "changed", "type": "date-time", "xdm": {"type": "string", "format": "date-time"}},
]


def test_a_scheduled_flow_copies_what_changed():
    assert delta_transformation("hour", "changed", COLUMNS) == {
        "name": "Copy",
        "params": {"deltaColumn": {"name": "changed", "dateFormat": "yyyy-MM-dd HH:mm:ss", "timezone": "UTC"}},
    }
    assert delta_transformation("hour", "anything", None)["params"]["deltaColumn"]["name"] == "anything"


def test_a_one_time_flow_copies_everything():
    assert delta_transformation("once", None, COLUMNS) is None


@pytest.mark.parametrize(
    ("frequency", "column", "says"),
    [
        ("once", "changed", "delta_column is 'changed'.*left out when frequency is once.*1369-400"),
        ("hour", None, "delta_column is None.*a date-time column.*1367-400"),
        ("hour", "gone", "delta_column is 'gone'.*one of changed"),
        ("hour", "born", "delta_column is 'born'.*one of changed"),
    ],
)
def test_a_delta_column_that_aep_would_refuse_is_refused(frequency, column, says):
    with pytest.raises(AepConfigurationError, match=says):
        delta_transformation(frequency, column, COLUMNS)


def test_a_table_without_date_times_says_so():
    with pytest.raises(AepConfigurationError, match="the table has none"):
        delta_transformation("day", "id", COLUMNS[:1])


# -- mappings -------------------------------------------------------------------------------------------------------

SCHEMA = {
    "_id": {"type": "string"},
    "count": {"type": "integer"},
    "share": {"type": "number"},
    "flag": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "person": {
        "type": "object",
        "properties": {
            "birthDate": {"type": "string", "format": "date"},
            "seen": {"type": "string", "format": "date-time"},
            "name": {"type": "object", "properties": {n: {"type": "string"} for n in ("firstName", "lastName")}},
        },
    },
}


def entries(mappings, static=None, columns=COLUMNS):
    return mapping_set(mappings, static or {}, columns=columns, schema=SCHEMA)


def test_entries_are_sorted_by_destination_so_that_order_is_no_change():
    made = entries({"id": "person.name.lastName", "n": "_id"}, {"flag": True, "share": 0.5})
    assert [e["destination"] for e in made] == ["_id", "flag", "person.name.lastName", "share"]
    assert made[0] == {"sourceType": "ATTRIBUTE", "source": "n", "destination": "_id"}
    assert made[1] == {"sourceType": "STATIC", "source": "true", "destination": "flag"}
    assert made[3]["source"] == "0.5"


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("n", "share"), ("n", "_id"), ("x", "share"), ("x", "_id"), ("ok", "_id"), ("ok", "flag"), ("born", "_id"),
        ("born", "person.birthDate"), ("changed", "person.birthDate"), ("changed", "person.seen"), ("n", "count"),
    ],
)  # fmt: skip
def test_a_type_may_become_a_wider_one(source, destination):
    assert entries({source: destination})[0]["source"] == source


@pytest.mark.parametrize(
    ("source", "destination", "says"),
    [
        ("id", "count", "'id' is string, and 'count' is integer"),
        ("x", "count", "'x' is number, and 'count' is integer"),
        ("n", "flag", "'n' is integer, and 'flag' is boolean"),
        ("ok", "count", "'ok' is boolean, and 'count' is integer"),
        ("id", "person.birthDate", "'id' is string, and 'person.birthDate' is date"),
        ("n", "person.seen", "'n' is integer, and 'person.seen' is date-time"),
        ("gone", "_id", r"the table has no column 'gone' \(it has id, n, x, ok, born, changed\)"),
        (
            "id",
            "person.name",
            "'person.name' is an object, not a field; .* person.name.firstName, person",
        ),
        ("id", "tags", "'tags' is an object, not a field"),
        ("id", "person.nick", "the schema has no field 'person.nick'"),
        ("id", "_id.x", "the schema has no field '_id.x'"),
        ("id", "/person/name", "the schema has no field '/person/name'"),
        ("concat(id, n)", "_id", r"'concat\(id, n\)' is an expression; only columns and static values"),
        ("id + n", "_id", "'id [+] n' is an expression"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_with_its_path(source, destination, says):
    with pytest.raises(AepConfigurationError, match=f"The mappings do not fit: {says}.*Correct the mappings"):
        entries({source: destination})


def test_every_problem_is_named_at_once():
    with pytest.raises(AepConfigurationError) as caught:
        entries({"gone": "_id", "id": "nope"}, {"person": "x"})
    for what in ("'gone'", "'nope'", "'person' is an object"):
        assert what in str(caught.value)


def test_one_field_has_one_source():
    with pytest.raises(AepConfigurationError, match="'_id' has two sources"):
        entries({"id": "_id", "n": "_id"})
    with pytest.raises(AepConfigurationError, match="'_id' has two sources"):
        entries({"id": "_id"}, {"_id": "x"})


def test_nothing_mapped_is_refused():
    with pytest.raises(AepConfigurationError, match="There are no mappings.*Give mappings"):
        entries({}, {"_id": "x"})


@pytest.mark.parametrize(
    ("mappings", "static", "says"), [("x", {}, "mappings is 'x'"), ({}, ["x"], r"static is \['x'\]")]
)
def test_what_is_no_dict_is_said(mappings, static, says):
    with pytest.raises(AepConfigurationError, match=f"{says}, not a dict"):
        mapping_set(mappings, static, columns=COLUMNS, schema=SCHEMA)


def test_columns_that_are_not_known_are_not_checked():
    assert entries({"anything": "_id"}, columns=None)
    with pytest.raises(AepConfigurationError, match="no field 'nope'"):
        entries({"anything": "nope"}, columns=None)


# -- auth parameters ------------------------------------------------------------------------------------------------

SPEC = ConnectionSpec.model_validate(
    {
        "id": "i",
        "name": "service-now",
        "authSpec": [
            {
                "name": "Basic Authentication",
                "spec": {
                    "type": "object",
                    "properties": {n: {"type": "string"} for n in ("endpoint", "username", "password")},
                    "required": ["endpoint", "username", "password"],
                },
            }
        ],
    }
)
FIELDS = {"endpoint": "url", "username": "login", "password": "password"}
PARAMS = {"endpoint": "https://x.service-now.com", "username": "u", "password": "canary-secret"}


def test_parameters_that_fit_are_passed_on():
    auth = checked_auth(SPEC, "Basic Authentication", PARAMS, login="c", fields=FIELDS)
    assert auth == {"specName": "Basic Authentication", "params": PARAMS}


@pytest.mark.parametrize(
    ("spec_name", "params", "says"),
    [
        ("OAuth", PARAMS, "service-now has no auth spec 'OAuth'.*Choose one of: Basic Authentication"),
        (
            "Basic Authentication",
            {},
            "endpoint is missing .url.; username is missing .login.; password is missing .password.",
        ),
        ("Basic Authentication", {**PARAMS, "server": "x"}, "server is not a parameter"),
        ("Basic Authentication", {**PARAMS, "password": 5}, "password does not satisfy 'type'"),
    ],
)
def test_parameters_that_do_not_fit_are_named_without_their_values(spec_name, params, says):
    with pytest.raises(AepConfigurationError, match=says) as caught:
        checked_auth(SPEC, spec_name, params, login="c", fields=FIELDS)
    assert "canary-secret" not in str(caught.value)


def test_a_spec_without_auth_says_so():
    with pytest.raises(AepConfigurationError, match="i has no auth spec.*Choose one of: none"):
        checked_auth(ConnectionSpec(id="i"), "Basic Authentication", PARAMS, login="c", fields=FIELDS)

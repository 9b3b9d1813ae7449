"""The rules that are checked before anything is written: names, schedules, mappings, auth parameters."""

import re

import pytest
from chain import CRM, FIELD_GROUPS, RESOURCE_TYPES, create_by_hand, desired

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import ConnectionSpec
from airflow_provider_aep.naming import (
    ONBOARDING_PATTERN,
    Names,
    is_retired_name,
    original_name,
    retired_name,
    validate_name,
)
from airflow_provider_aep.onboarding import build
from airflow_provider_aep.onboarding.mapping import mapping_set
from airflow_provider_aep.onboarding.schedule import validate_delta_column, validate_schedule
from airflow_provider_aep.onboarding.sources.auth_specs import validate_auth

# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "Customer success (EU) base", "a_b.c:d/e-f", "x" * 100, "2026"])
def test_a_good_name_is_kept(name):
    assert validate_name(name) == name


@pytest.mark.parametrize("name", ["", " a", "a ", "x" * 101, "a,b", 'a"b', "a==b", "a&b", "a~b", "é", "a\nb", None, 5])
def test_a_name_that_a_filter_could_not_find_is_refused(name):
    with pytest.raises(AepConfigurationError, match=r"dataset name is .*1 to 100 letters") as caught:
        validate_name(name, "dataset name")
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["a", "Customer success (EU)", "x" * 80, "2026", "a."])
def test_an_onboarding_of_a_good_name_makes_good_names(name):
    assert re.fullmatch(ONBOARDING_PATTERN, name)
    assert all(validate_name(n) for n in vars(Names(name)).values())


@pytest.mark.parametrize("name", ["", " a", "a ", "É", "a,b", "x" * 81, "-a", "abc\n"])
def test_the_pattern_refuses_what_would_make_a_bad_name(name):
    assert not re.search(ONBOARDING_PATTERN, name)  # as JSON Schema does


def test_everything_of_an_onboarding_has_a_name_of_its_own():
    names = vars(Names("X"))
    assert len(set(names.values())) == len(names) == 10
    assert names["source_class"] == "X source class"
    assert all(validate_name(n) and n.startswith("X ") for n in names.values())


# -- schedules ------------------------------------------------------------------------------------------------------


def params(now=0, **arguments):
    """Return the schedule parameters of a create request that leaves at a moment."""
    return validate_schedule(**arguments).with_start(now, 0).params()


def test_a_one_time_flow_has_a_start_and_nothing_else():
    made = params(frequency="once", start_in_minutes=1.5, now=1000.2)
    assert made == {"startTime": 1091, "frequency": "once"}


@pytest.mark.parametrize(
    ("frequency", "interval", "expected"),
    [("minute", None, 15), ("minute", 15, 15), ("hour", None, 1), ("day", 7, 7), ("week", 1, 1)],
)
def test_a_scheduled_flow_has_an_interval_and_takes_the_past(frequency, interval, expected):
    made = params(frequency=frequency, start_in_minutes=1, now=0, interval=interval)
    assert made == {"startTime": 60, "frequency": frequency, "interval": expected, "backfill": True}


def test_backfill_can_be_declined():
    assert params(frequency="day", start_in_minutes=1, now=0, backfill=False)["backfill"] is False


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"frequency": "hourly"},
            "frequency is 'hourly'.*1397-400.*Set frequency to one of once, minute, hour, day, week",
        ),
        ({"frequency": None}, "frequency is None"),
        (
            {"start_in_minutes": 0},
            "start_in_minutes is 0.*1360-400.*Set start_in_minutes to a number of minutes above 0",
        ),
        ({"start_in_minutes": -1}, "start_in_minutes is -1"),
        ({"start_in_minutes": "soon"}, "start_in_minutes is 'soon'"),
        ({"start_in_minutes": True}, "start_in_minutes is True"),
        ({"start_in_minutes": float("nan")}, "start_in_minutes is nan"),
        ({"start_in_minutes": float("inf")}, "start_in_minutes is inf"),
        ({"interval": 1}, "interval is 1.*1361-400.*Remove interval: frequency is once"),
        ({"backfill": True}, "backfill is True.*1364-400.*Remove backfill: frequency is once"),
        ({"backfill": False}, "backfill is False"),
        (
            {"frequency": "minute", "interval": 14},
            "interval is 14.*1362-400.*Set interval to 15 or more, as frequency is minute",
        ),
        ({"frequency": "hour", "interval": 0}, "interval is 0.*Set interval to 1 or more, as frequency is hour"),
        ({"frequency": "hour", "interval": "1"}, "interval is '1'"),
        ({"frequency": "hour", "interval": True}, "interval is True"),
        ({"frequency": "hour", "interval": 1.5}, "interval is 1.5"),
        ({"frequency": "hour", "backfill": "yes"}, "backfill is 'yes'.*Set backfill to True or False"),
    ],
)
def test_a_schedule_that_aep_would_refuse_is_refused(given, says):
    with pytest.raises(AepConfigurationError, match=says):
        validate_schedule(**{"frequency": "once", "start_in_minutes": 1, **given})


COLUMNS = [
    {"name": "id", "type": "string", "xdm": {"type": "string"}},
    {"name": "n", "type": "integer", "xdm": {"type": "integer"}},
    {"name": "x", "type": "double", "xdm": {"type": "number"}},
    {"name": "ok", "type": "boolean", "xdm": {"type": "boolean"}},
    {"name": "born", "type": "date", "xdm": {"type": "string", "format": "date"}},
    {"name": "changed", "type": "date-time", "xdm": {"type": "string", "format": "date-time"}},
]


def test_a_scheduled_flow_has_a_delta_column():
    expected = {"name": "changed", "dateFormat": "yyyy-MM-dd HH:mm:ss", "timezone": "UTC"}
    assert validate_delta_column("hour", "changed", COLUMNS) == expected
    assert validate_delta_column("hour", "anything", None)["name"] == "anything"


def test_a_one_time_flow_has_no_delta_column():
    assert validate_delta_column("once", None, COLUMNS) is None


@pytest.mark.parametrize(
    ("frequency", "column", "says"),
    [
        ("once", "changed", "delta_column is 'changed'.*1369-400.*Remove delta_column: frequency is once"),
        ("hour", None, "delta_column is None.*1367-400.*Set delta_column to a date-time column of the table"),
        ("hour", "gone", "delta_column is 'gone'.*one of changed"),
        ("hour", "born", "delta_column is 'born'.*one of changed"),
    ],
)
def test_a_delta_column_that_aep_would_refuse_is_refused(frequency, column, says):
    with pytest.raises(AepConfigurationError, match=says):
        validate_delta_column(frequency, column, COLUMNS)


def test_a_table_without_date_times_says_so():
    with pytest.raises(AepConfigurationError, match="the table has none"):
        validate_delta_column("day", "id", COLUMNS[:1])


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
    with pytest.raises(AepConfigurationError, match=f"The mappings are invalid: {says}.*Correct the mappings"):
        entries({source: destination})


@pytest.mark.parametrize("column", ["Amount (EUR)", "a+b", "rate*2", "O'Brien"])
def test_a_column_that_looks_like_an_expression_is_a_column(column):
    columns = [{"name": column, "type": "string", "xdm": {"type": "string"}}]
    assert entries({column: "_id"}, columns=columns)[0]["source"] == column


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
    with pytest.raises(AepConfigurationError, match="mappings is empty.*Set mappings"):
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
    auth = validate_auth(SPEC, "Basic Authentication", PARAMS, login="c", fields=FIELDS)
    assert auth == {"specName": "Basic Authentication", "params": PARAMS}


@pytest.mark.parametrize(
    ("spec_name", "params", "says"),
    [
        ("OAuth", PARAMS, "service-now has no auth spec 'OAuth'.*Set auth_spec to one of: Basic Authentication"),
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
        validate_auth(SPEC, spec_name, params, login="c", fields=FIELDS)
    assert "canary-secret" not in str(caught.value)


def test_a_spec_without_auth_says_so():
    with pytest.raises(AepConfigurationError, match="i has no auth spec.*Set connection_spec_id"):
        validate_auth(ConnectionSpec(id="i"), "Basic Authentication", PARAMS, login="c", fields=FIELDS)


# -- arguments of other tasks -----------------------------------------------------------------------------------------

TABLE_NAMES = ["customer_contact", "incident"]
"""What an explore task without a table returns."""


@pytest.mark.parametrize(
    "call",
    [
        lambda client, ids: build.mapping_set(
            client, name="X mapping", schema_id=ids["schema"], mappings={"a": "_id"}, columns=TABLE_NAMES
        ),
        lambda client, ids: build.flow(
            client,
            name="X flow",
            source_connection_id=ids["source"],
            target_connection_id=ids["target"],
            mapping_set=ids["mapping"],
            flow_spec=CRM,
            frequency="hour",
            delta_column="a",
            columns=TABLE_NAMES,
        ),
        lambda client, ids: build.source_connection(
            client, name="X source", base_connection_id=ids["base"], table="incident", columns=TABLE_NAMES
        ),
        lambda client, ids: build.ad_hoc_class(title="X class", columns=TABLE_NAMES),
    ],
    ids=["mapping set", "flow", "source connection", "class"],
)
def test_table_names_are_not_columns(emulator, aep, call):
    ids = {}
    for name, resource_type in RESOURCE_TYPES.items():
        ids[name] = create_by_hand(aep, resource_type, desired(name, "X", ids))
    before = emulator.writes()
    with pytest.raises(
        AepConfigurationError,
        match=r"columns is \['customer_contact', 'incident'\], not a list of dicts with a name.*whose table is set",
    ):
        call(aep, ids)
    assert emulator.writes() == before


def test_one_field_group_needs_no_list():
    state = build.schema(title="X", class_id="c", field_groups=FIELD_GROUPS[0])
    assert state.field_groups == FIELD_GROUPS
    assert build.schema(title="X", class_id="c", field_groups=list(FIELD_GROUPS)).field_groups == FIELD_GROUPS


@pytest.mark.parametrize("value", [None, 5, "", [""], [None]])
def test_field_groups_that_are_no_ids_are_refused(value):
    with pytest.raises(AepConfigurationError, match="field_groups is "):
        build.schema(title="X", class_id="c", field_groups=value)


# -- retired names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "X flow", "x" * 85, "x" * 86, "x" * 100, "Customer success (EU) flow"])
@pytest.mark.parametrize("number", [1, 20, 999])
def test_a_retired_name_is_valid_and_recognized(name, number):
    retired = retired_name(name, number)
    assert validate_name(retired) == retired
    assert is_retired_name(retired, name)
    assert original_name(retired) != retired
    assert not is_retired_name(name, name)


def test_retired_names_of_long_names_differ():
    names = ["x" * 99 + last for last in "abc"]
    retired = {retired_name(name, number) for name in names for number in (1, 2, 10)}
    assert len(retired) == 9
    assert not is_retired_name(retired_name(names[0], 1), names[1])

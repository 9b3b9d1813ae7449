"""The rules that are checked before anything is written: names, schedules, mappings, auth parameters."""

import re

import pytest
from chain import CONTEXT, CRM, FIELD_GROUPS, RESOURCE_TYPES, create_by_hand, desired

from aep_data_prep.context import lookup
from aep_data_prep.mapping import attribute_source
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import ConnectionSpec
from airflow_provider_aep.mappings import Constant, Expression
from airflow_provider_aep.naming import (
    ONBOARDING_PATTERN,
    Names,
    is_retired_name,
    original_name,
    retired_name,
    validate_name,
)
from airflow_provider_aep.onboarding import build
from airflow_provider_aep.onboarding.mapping import entries_of
from airflow_provider_aep.onboarding.resources.mapping_set import normalize_entry
from airflow_provider_aep.onboarding.schedule import validate_delta_column, validate_schedule
from airflow_provider_aep.onboarding.sources.auth_specs import validate_auth

# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["a", "Customer success (EU) base", "a_b.c:d/e-f", "x" * 100, "2026", "é", "고객", "a&b", "a,b", 'a"b', "a==b"],
)
def test_a_good_name_is_kept(name):
    assert validate_name(name) == name


@pytest.mark.parametrize("name", ["", " a", "a ", "x" * 101, "a\nb", "a\u200bb", "\ud800", None, 5])
def test_a_name_that_cannot_be_printed_is_refused(name):
    with pytest.raises(AepConfigurationError, match=r"dataset name is .*1 to 100 printable characters") as caught:
        validate_name(name, "dataset name")
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["a", "Customer success (EU)", "x" * 80, "2026", "a.", "É", "R&D, women's"])
def test_an_onboarding_of_a_good_name_makes_good_names(name):
    assert re.fullmatch(ONBOARDING_PATTERN, name)
    assert all(validate_name(n) for n in vars(Names(name)).values())


@pytest.mark.parametrize("name", ["", " a", "a ", "x" * 81, "a\tb", "abc\n"])
def test_the_pattern_refuses_what_would_make_a_bad_name(name):
    assert not re.search(ONBOARDING_PATTERN, name)  # as JSON Schema does


def test_everything_of_an_onboarding_has_a_name_of_its_own():
    names = vars(Names("X"))
    assert len(set(names.values())) == len(names) == 12
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
    {"name": "list", "type": "array", "xdm": {"type": "array"}},
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
    "_acme": {"type": "object", "properties": {"note": {"type": "string"}}},
    "person": {
        "type": "object",
        "properties": {
            "birthDate": {"type": "string", "format": "date"},
            "seen": {"type": "string", "format": "date-time"},
            "name": {"type": "object", "properties": {n: {"type": "string"} for n in ("firstName", "lastName")}},
        },
    },
}


def entries(mappings, columns=COLUMNS):
    return entries_of(mappings, columns=columns, schema=SCHEMA, tenant_id=lambda: "acme")


def test_entries_are_sorted_by_destination_so_that_order_is_no_change():
    made = entries({
        "person.name.lastName": "id", "_id": "n", "flag": Constant(True), "share": {"value": 0.5},
        "person.name.firstName": Expression("upper(id)"),
    })  # fmt: skip
    assert [(e["destination"], e["sourceType"], e["source"]) for e in made] == [
        ("_id", "ATTRIBUTE", "n"),
        ("flag", "STATIC", "true"),
        ("person.name.firstName", "EXPRESSION", "upper(id)"),
        ("person.name.lastName", "ATTRIBUTE", "id"),
        ("share", "STATIC", "0.5"),
    ]


def test_one_column_goes_to_two_fields():
    assert [e["source"] for e in entries({"_id": "id", "person.name.lastName": "id"})] == ["id", "id"]


@pytest.mark.parametrize("text", ['"ServiceNow"', "'ServiceNow'"])
def test_a_constant_has_one_form(text):
    made = entries({"_id": Expression(text)})
    assert made == entries({"_id": Constant("ServiceNow")})
    assert normalize_entry("text/x.aep-xl", text, "_id") == made[0]
    assert normalize_entry("text/plain", "ServiceNow", "_id") == made[0]


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("n", "share"), ("n", "_id"), ("x", "share"), ("x", "_id"), ("ok", "_id"), ("ok", "flag"), ("born", "_id"),
        ("born", "person.birthDate"), ("changed", "person.birthDate"), ("changed", "person.seen"), ("n", "count"),
        ("id", "flag"), ("id", "count"), ("id", "share"), ("id", "person.seen"), ("x", "count"), ("list", "tags"),
        ("id", "tags[0]"), ("id", "_acme.note"), ("id", "_{tenant}.note"),
    ],
)  # fmt: skip
def test_a_conversion_that_aep_makes_is_allowed(source, destination):
    assert entries({destination: source})[0]["source"] == source


def test_a_conversion_that_may_lose_values_is_logged(caplog):
    entries({"person.seen": "id"})
    assert "only in its default formats" in caplog.text
    assert 'Use date(id, "yyyy-MM-dd HH:mm:ss")' in caplog.text


@pytest.mark.parametrize(
    ("source", "destination", "says"),
    [
        ("n", "flag", "flag, column 1: AEP cannot convert integer 'n' to boolean. Use n == 1."),
        ("ok", "count", "AEP cannot convert boolean 'ok' to integer. Use iif(ok, 1, 0)."),
        ("n", "person.seen", "AEP cannot convert integer 'n' to date-time."),
        ("changed", "count", "Use date_part(...)."),
        ("gone", "_id", "The source has no column 'gone'. Use one of: id, n, x, ok, born, changed, list."),
        ("idd", "_id", "Did you mean 'id'?"),
        ("id", "person.name", "AEP cannot convert string 'id' to object. Map one of its children"),
        ("id", "tags", "AEP cannot convert string 'id' to array. Use explode(column, \",\")."),
        ("list", "_id", "AEP cannot convert array 'list' to string."),
        ("id", "person.nick", "The schema has no field person.nick."),
        ("id", "_id.x", "The schema has no field _id.x. Did you mean _id?"),
        ("id", "/person/name", "The schema has no field /person/name."),
        ("concat(id, n)", "_id", "'concat(id, n)' is an expression. Write Expression('concat(id, n)')."),
        ("id + n", "_id", "'id + n' is an expression."),
        (Expression("id +"), "_id", "_id, column 5:"),
        (Expression("nvl(id)"), "_id", "Use coalesce("),
        (Expression("lower()"), "_id", "lower does not take 0 arguments"),
        (Expression("lower(idd)"), "_id", "_id, column 7: The source has no column 'idd'. Did you mean 'id'?"),
        (Expression("size"), "_id", "reserved word"),
        (Expression("x" * 4097), "_id", "at most 4096"),
        (Constant("x"), "person", "A constant does not fit an object"),
        (Constant("soon"), "person.birthDate", "The constant does not fit the field, which is date"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_with_its_path(source, destination, says):
    with pytest.raises(AepConfigurationError) as caught:
        entries({destination: source})
    assert str(caught.value).startswith("The mappings are invalid:")
    assert says in str(caught.value)
    assert "Next step: Correct the mappings" in str(caught.value)


@pytest.mark.parametrize(
    ("column", "sent"),
    [
        ("Amount (EUR)", "${Amount (EUR)}"), ("a+b", "${a+b}"), ("O'Brien", "${O'Brien}"),
        ("Full.Name", r"${Full\.Name}"),
        ("a}b", r"${a\}b}"), ("a[0]", "${a[0]}"), ("Größe", "Größe"), ("$ref", "$ref"),
        ("size", "${size}"), ("date", "${date}"), ("null", "${null}"), ("2nd", "${2nd}"),
        ("\\", "${\\\\}"),
    ],
)  # fmt: skip
def test_a_column_is_sent_as_aep_reads_it(column, sent):
    columns = [{"name": column, "type": "string", "xdm": {"type": "string"}}]
    assert entries({"_id": column}, columns=columns)[0]["source"] == sent
    steps, name = attribute_source(sent)
    assert lookup({column: "found"}, steps, name) == "found"
    assert entries({"_id": sent}, columns=columns)[0]["source"] == sent  # an author may write it so, too


def test_a_path_into_a_record_is_sent_as_it_is():
    columns = [
        {"name": "a.b", "path": "a.b", "xdm": {"type": "string"}},
        {"name": "tags", "xdm": {"type": "array"}},
        {"name": "size", "xdm": {"type": "array"}},
    ]
    mappings = {"_id": "a.b", "flag": "tags[0].x", "share": Expression("upper(a.b)"), "_acme.note": "size[0].x"}
    made = entries(mappings, columns=columns)
    assert {e["destination"]: e["source"] for e in made} == {
        "_id": "a.b", "flag": "tags[0].x", "share": "upper(a.b)", "_acme.note": "${size}[0].x"
    }  # fmt: skip
    with pytest.raises(AepConfigurationError, match="no column 'a.c'"):
        entries({"_id": "a.c"}, columns=columns)


def test_every_problem_is_named_at_once():
    with pytest.raises(AepConfigurationError) as caught:
        entries({"_id": "gone", "nope": "id", "person": Constant("x")})
    for what in ("'gone'", "nope", "person: A constant"):
        assert what in str(caught.value)


def test_one_field_has_one_source():
    with pytest.raises(AepConfigurationError, match="the same destination"):
        entries({"_{tenant}.note": "id", "_acme.note": "n"})


def test_nothing_mapped_is_refused():
    with pytest.raises(AepConfigurationError, match="mappings is empty.*Set mappings"):
        entries({})


@pytest.mark.parametrize("mappings", ["x", ["x"], None])
def test_what_is_no_dict_is_said(mappings):
    with pytest.raises(AepConfigurationError, match="not a dict"):
        entries(mappings)


@pytest.mark.parametrize(
    "source", [5.5, None, "", {}, {"expr": ""}, {"expr": 5}, {"value": []}, {"value": None}, {"a": 1, "b": 2}]
)
def test_what_is_no_source_is_said(source):
    with pytest.raises(AepConfigurationError, match="mappings contains '_id'.*Set each field to a column"):
        entries({"_id": source})


def test_columns_that_are_not_known_are_not_checked():
    assert entries({"_id": "anything"}, columns=None)
    with pytest.raises(AepConfigurationError, match="no field anything"):
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
            client, name="X mapping", schema_id=ids["schema"], mappings={"_id": "a"}, columns=TABLE_NAMES
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
    assert build.schema(None, title="X", class_id="profile", field_groups=FIELD_GROUPS[0]).field_groups == FIELD_GROUPS
    state = build.schema(None, title="X", class_id="profile", field_groups=list(FIELD_GROUPS))
    assert (state.class_id, state.field_groups) == (f"{CONTEXT}profile", FIELD_GROUPS)


@pytest.mark.parametrize("value", [None, 5, "", [""], [None]])
def test_field_groups_that_are_no_ids_are_refused(value):
    with pytest.raises(AepConfigurationError, match="field_groups is "):
        build.schema(None, title="X", class_id="profile", field_groups=value)


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

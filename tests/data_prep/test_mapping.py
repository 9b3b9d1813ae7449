"""A mapping set makes records of rows: paths, conversions and errors."""

import time
from datetime import UTC, datetime

import pytest

from aep_data_prep.checks import Column, Grade, check
from aep_data_prep.errors import EvaluationError
from aep_data_prep.mapping import (
    CompiledMappings,
    Kind,
    MappingEntry,
    attribute_source,
    column_path,
    wrap_reserved,
)
from aep_data_prep.schema import field_of
from aep_data_prep.syntax import escape_name

TEXT = {"type": "string"}
SCHEMA = field_of({
    "type": "object",
    "required": ["_id"],
    "properties": {
        "_id": TEXT,
        "person": {"properties": {"name": {"properties": {"fullName": TEXT, "lastName": TEXT}}}},
        "address": {"required": ["city"], "properties": {"line1": TEXT, "city": TEXT, "state": TEXT}},
        "identityMap": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "object", "properties": {"id": TEXT}}},
        },
        "_tenant": {
            "properties": {
                "opened": {"type": "string", "format": "date-time"},
                "day": {"type": "string", "format": "date"},
                "vip": {"type": "boolean"},
                "score": {"type": "integer", "minimum": -128, "maximum": 127},
                "ratio": {"type": "number"},
                "tags": {"type": "array", "items": TEXT},
                "labels": {"type": "object", "additionalProperties": TEXT},
                "orders": {"type": "array", "items": {"properties": {"sku": TEXT, "price": {"type": "number"}}}},
            }
        },
    },
})  # fmt: skip


def expression(destination, source):
    return MappingEntry(destination, source, Kind.EXPRESSION)


def mapped(row, *entries, **options):
    return CompiledMappings([*entries, MappingEntry("_id", "id")], SCHEMA, **options).apply({"id": "1", **row})


@pytest.mark.parametrize(
    ("source", "destination", "value", "record"),
    [
        ("c", "_id", 12, {"_id": "12"}),
        ("c", "_tenant.vip", "yes", {"_tenant": {"vip": True}}),
        ("c", "_tenant.vip", "OFF", {"_tenant": {"vip": False}}),
        ("c", "_tenant.score", "7", {"_tenant": {"score": 7}}),
        ("c", "_tenant.ratio", "7.5", {"_tenant": {"ratio": 7.5}}),
        ("c", "_tenant.day", "2026-01-31", {"_tenant": {"day": "2026-01-31"}}),
        ("c", "_tenant.opened", "31-Jan-2026", {"_tenant": {"opened": "2026-01-31T00:00:00Z"}}),
        ("c", "_tenant.opened", "2026-01-31 01:00:00+0200", {"_tenant": {"opened": "2026-01-30T23:00:00Z"}}),
        ("c", "_tenant.tags", ["a", 1], {"_tenant": {"tags": ["a", "1"]}}),
        ("c", "_tenant.tags[0]", "a", {"_tenant": {"tags": ["a"]}}),
        ("c[*].s", "_tenant.orders[*].sku", [{"s": 1}, {}], {"_tenant": {"orders": [{"sku": "1"}, {}]}}),
        ("c[*].s", "_tenant.tags[*]", [{"s": 1}, {"s": 2}], {"_tenant": {"tags": ["1", "2"]}}),
        ("c", "_tenant.labels", {"a": 1}, {"_tenant": {"labels": {"a": "1"}}}),
        ("c", "identityMap.Email[0].id", "a@b", {"identityMap": {"Email": [{"id": "a@b"}]}}),
        ("c", "address", {"city": "x", "zip": 1}, {"address": {"city": "x"}}),
        ("c.d[0]", "_id", {"d": ["x"]}, {"_id": "x"}),
        ("c", "_tenant.score", None, {}),
    ],
)
def test_an_attribute(source, destination, value, record):
    found = CompiledMappings([MappingEntry(destination, source)], SCHEMA).apply({"c": value})
    assert found.errors == []
    assert found.data == record


def test_elements_of_one_array_are_merged():
    row = {"orders": [{"s": "a", "p": 1}, {"s": "b", "p": "2.5"}]}
    found = mapped(
        row,
        MappingEntry("_tenant.orders[*].sku", "orders[*].s"),
        MappingEntry("_tenant.orders[*].price", "orders[*].p"),
    )
    assert found.data["_tenant"]["orders"] == [{"sku": "a", "price": 1}, {"sku": "b", "price": 2.5}]


@pytest.mark.parametrize("reverse", [False, True])
def test_an_object_copy_and_a_renamed_child(reverse):
    """Adobe's sample: line1 is not copied, because the target has no field of this name."""
    schema = field_of({"properties": {"addr": {"properties": {"addrLine1": TEXT, "city": TEXT, "state": TEXT}}}})
    entries = [MappingEntry("addr", "address"), MappingEntry("addr.addrLine1", "address.line1")]
    row = {"address": {"line1": "345 park ave", "city": "san jose", "state": "CA"}}
    found = CompiledMappings(entries[::-1] if reverse else entries, schema).apply(row)
    assert found.data == {"addr": {"addrLine1": "345 park ave", "city": "san jose", "state": "CA"}}


@pytest.mark.parametrize("source", [r"Full\.Name", "${Full.Name}", r"${Full\.Name}", "Full.Name"])
def test_a_column_with_a_dot_is_found_before_a_path(source):
    assert mapped({"Full.Name": "A"}, MappingEntry("person.name.fullName", source)).data["person"] == {
        "name": {"fullName": "A"}
    }


@pytest.mark.parametrize("column", ["E-mail (work)", "Customer's name", "größe", "a}b", "date"])
def test_a_column_with_any_name(column):
    escaped = column.replace("}", "\\}")
    for entry in (MappingEntry("_id", f"${{{escaped}}}"), expression("_id", f"concat(${{{escaped}}})")):
        assert CompiledMappings([entry], SCHEMA).apply({column: "v"}).data == {"_id": "v"}


@pytest.mark.parametrize(
    ("destination", "value", "says"),
    [
        ("_tenant.score", "x", "no number"),
        ("_tenant.score", "1.5", "no whole number"),
        ("_tenant.score", "128", "outside of -128 to 127"),
        ("_tenant.vip", "perhaps", "no boolean"),
        ("_tenant.opened", "yesterday", "default date formats"),
        ("_tenant.tags", "a,b", "explode"),
        ("_tenant.labels", "a", "to_map"),
        ("address", "a", "one of its children"),
        ("person.name.fullName", ["a"], "takes a text"),
        ("_tenant.tags[*]", "a", "no array"),
    ],
)
def test_a_value_that_cannot_be_converted_nulls_the_field(destination, value, says):
    found = mapped({"c": value}, MappingEntry(destination, "c"))
    [error] = found.errors
    assert says in error.message
    assert error.entry.destination == destination
    assert found.data == {"_id": "1"}
    assert found.missing == []


@pytest.mark.parametrize("order", [1, -1])
def test_a_child_that_is_mapped_itself_wins_over_the_copy_of_its_parent(order):
    entries = [MappingEntry("address", "home"), MappingEntry("address.city", "town")][::order]
    home = {"line1": "1 Road", "city": "Old", "zip": "1"}
    assert mapped({"home": home, "town": "New"}, *entries).data["address"] == {"line1": "1 Road", "city": "New"}


@pytest.mark.parametrize("order", [1, -1])
def test_a_map_is_filled_by_several_mappings(order):
    labels = [MappingEntry("_tenant.labels", "all"), MappingEntry("_tenant.labels.b", "b")][::order]
    assert mapped({"all": {"a": 1}, "b": 2}, *labels).data["_tenant"] == {"labels": {"a": "1", "b": "2"}}
    two = [MappingEntry("identityMap.Email[0].id", "m"), MappingEntry("identityMap.Phone[1].id", "p")][::order]
    assert mapped({"m": "a@b.example", "p": 7}, *two).data["identityMap"] == {
        "Email": [{"id": "a@b.example"}], "Phone": [{}, {"id": "7"}],
    }  # fmt: skip


def test_an_element_of_a_list_of_texts_leaves_null_before_it():
    assert mapped({"c": "x"}, MappingEntry("_tenant.tags[2]", "c")).data["_tenant"] == {"tags": [None, None, "x"]}


def test_a_constant_an_expression_and_an_element_are_sources():
    entries = (
        MappingEntry("_tenant.vip", "yes", Kind.STATIC),
        expression("person.name.fullName", "upper(a.b)"),
        MappingEntry("person.name.lastName", "list[0].name"),
        MappingEntry("_tenant.score", "a.missing.x"),
    )
    result = mapped({"a": {"b": "x"}, "list": [{"name": "Bo"}]}, *entries)
    assert result.data == {
        "_id": "1",
        "person": {"name": {"fullName": "X", "lastName": "Bo"}},
        "_tenant": {"vip": True},
    }
    assert result.errors == []


def test_choices_clock_and_ids_reach_expressions_and_conversions():
    at = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    entries = (
        expression("person.name.fullName", "uuid()"),
        expression("person.name.lastName", "now()"),
        expression("_tenant.ratio", "null + 1"),
    )
    chosen = {"date-text": "java", "arithmetic": "lenient"}
    compiled = CompiledMappings(entries, SCHEMA, chosen)
    data = compiled.apply({}, now=lambda: at, new_id=lambda: "new").data
    assert data["person"]["name"] == {"fullName": "new", "lastName": "Sat Jan 31 23:30:00 UTC 2026"}
    assert data["_tenant"] == {"ratio": 1}
    strict = CompiledMappings(entries, SCHEMA).apply({}, now=lambda: at)
    assert strict.data["person"]["name"]["lastName"] == "2026-01-31T23:30:00Z"
    assert [e.entry.destination for e in strict.errors] == ["_tenant.ratio"]


def test_dates_stay_dates_if_asked():
    row = {"c": "2026-01-31"}
    entries = (MappingEntry("_tenant.day", "c"), MappingEntry("_tenant.opened", "c"))
    at = datetime(2026, 1, 31, tzinfo=UTC)
    assert mapped(row, *entries, native_dates=True).data["_tenant"] == {"day": at.date(), "opened": at}
    assert mapped(row, *entries).data["_tenant"] == {"day": "2026-01-31", "opened": "2026-01-31T00:00:00Z"}


def test_dates_are_in_utc_wherever_the_process_runs(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        row = {"c": "2026-01-31 20:00:00+0000"}
        entries = (MappingEntry("_tenant.day", "c"), MappingEntry("_tenant.opened", "c"))
        assert mapped(row, *entries).data["_tenant"] == {"day": "2026-01-31", "opened": "2026-01-31T20:00:00Z"}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_without_a_schema_nothing_is_converted_and_nothing_is_required():
    entries = (
        MappingEntry("a.b", "x"),
        MappingEntry("list[*].n", "people[*].age"),
        MappingEntry("all", "whole"),
        MappingEntry("nested[*][*]", "grid"),
    )
    row = {"x": 5, "people": [{"age": 1}, {"age": None}], "whole": {"k": 1}, "grid": [[1, 2], None, [3]]}
    result = CompiledMappings(entries).apply(row)
    assert result.data == {"a": {"b": 5}, "list": [{"n": 1}, {}], "all": {"k": 1}, "nested": [[1, 2], [], [3]]}
    assert (result.errors, result.missing) == ([], [])
    [error] = CompiledMappings([MappingEntry("list[*]", "x")]).apply(row).errors
    assert error.message == "The destination has [*], and the value is no array."


@pytest.mark.parametrize("source", ["${a}", "${a}.b", "a}", "${a"])
def test_a_wrapper_has_both_ends(source):
    row = {"a": {"b": "wrapped"}, "a}": "odd", "${a": "odd"}
    expected = {"${a}": {"b": "wrapped"}, "${a}.b": "wrapped", "a}": "odd", "${a": "odd"}[source]
    assert CompiledMappings([MappingEntry("x", source)]).apply(row).data == {"x": expected}


def test_a_field_of_an_absent_object_is_not_required():
    assert mapped({}).missing == []
    assert mapped({"s": "NY"}, MappingEntry("address.state", "s")).missing == ["address.city"]
    assert mapped({"id": None}).missing == ["_id"]


def test_a_required_field_that_is_null_is_named():
    found = CompiledMappings([MappingEntry("_id", "id"), MappingEntry("address.state", "s")], SCHEMA).apply({"s": "CA"})
    assert found.missing == ["_id", "address.city"]


def test_a_destination_must_exist():
    with pytest.raises(EvaluationError, match="no field person.nam"):
        CompiledMappings([MappingEntry("person.nam", "c")], SCHEMA)


# -- checks -----------------------------------------------------------------------------------------------------------

COLUMNS = [Column(name) for name in ("id", "score", "tags", "opened", "date")] + [
    Column("amount", "number"),
    Column("created", "string", "date-time"),
]


@pytest.mark.parametrize(
    ("entry", "grade", "column", "says"),
    [
        (MappingEntry("_id", "idd"), "error", 1, "no column 'idd'. Did you mean 'id'"),
        (MappingEntry("_tenant.opend", "opened"), "error", None, "no field _tenant.opend. Did you mean _tenant.opened"),
        (MappingEntry("_tenant.tags", "tags"), "error", 1, "explode"),
        (MappingEntry("_tenant.opened", "opened"), "warning", 1, "default formats"),
        (MappingEntry("_tenant.opened", "amount"), "error", 1, "cannot convert number"),
        (MappingEntry("_tenant.score", "created"), "error", 1, "date_part"),
        (MappingEntry("_tenant.tags", "X", Kind.STATIC), "error", None, "Use an expression"),
        (expression("_id", "nvl(id, 0)"), "error", 1, "coalesce"),
        (expression("_id", "substr(id, 1)"), "error", 1, "does not take 2 arguments"),
        (expression("_id", "concat(date)"), "error", 8, "reserved word.*date"),
        (expression("_id", "filterArray(tags, x -> x > id)"), "error", 1, "destinations only"),
        (expression("_id", "aa_get_product_names(tags)"), "error", 1, "Analytics"),
        (expression("_id", "iif(id == 1, colr, 2)"), "error", 14, "no column 'colr'"),
        (expression("_id", "f("), "error", 3, "ends too early"),
        (expression("_id", 'id + "${CRM_ORG_ID}"'), "error", 6, "variable of a template"),
        (expression("_id", "${CRM_ORG_ID}"), "error", 1, "variable of a template"),
        (expression("_id", "tags[*].x"), "error", 1, "not for an expression"),
        (expression("_id", '"a".trim()'), "error", 1, "no method trim"),
        (expression("_id", "is_set('id')"), "warning", 1, "contains_key"),
        (expression("_tenant.tags", "explode(tags, '|')"), "warning", 15, "special"),
        (expression("_tenant.opened", 'date(opened, "YYYY")'), "warning", 14, "year of a week"),
        (expression("_tenant.opened", 'date(opened, "hh")'), "warning", 14, "12-hour"),
        (expression("_tenant.opened", 'date(opened, "DD")'), "warning", 14, "day of the year"),
        (expression("_tenant.ratio", "amount / amount"), "warning", 1, "division by 0"),
        (expression("_tenant.ratio", "amount + 1"), "warning", 1, "coalesce"),
        (expression("_id", "score > 3"), "warning", 9, "is a text"),
    ],
)
def test_a_problem_is_found_with_its_place(entry, grade, column, says):
    found = check([entry], columns=COLUMNS, schema=SCHEMA)
    assert [
        p for p in found if p.grade == grade and p.position == (column and column - 1) and says_in(says, p.message)
    ], found


def says_in(says, message):
    import re

    return re.search(says, message)


def test_all_problems_are_found_at_once():
    entries = [MappingEntry("_id", "x"), MappingEntry("_id", "id"), expression("_tenant.score", "nvl(y, f())")]
    found = check(entries, columns=COLUMNS, schema=SCHEMA)
    assert [p.message.split(".")[0] for p in found if p.grade is Grade.ERROR] == [
        "The source has no column 'x'",
        "Two mappings have this destination",
        "There is no function nvl",
        "The source has no column 'y'",
        "There is no function f",
    ]


def test_a_good_set_has_no_problem():
    entries = [
        MappingEntry("_id", "id"),
        expression("person.name.lastName", 'trim(split(score, ",")[0])'),
        expression("_tenant.opened", 'date(opened, "yyyy-MM-dd HH:mm:ss")'),
        expression("_tenant.tags", 'explode(tags, ";")'),
        MappingEntry("_tenant.ratio", "amount"),
        MappingEntry("_tenant.labels.origin", "ServiceNow", Kind.STATIC),
    ]
    assert check(entries, columns=COLUMNS, schema=SCHEMA) == []


def test_without_columns_and_schema_only_the_language_is_checked():
    assert check([expression("x.y", "lower(z)")]) == []


@pytest.mark.parametrize(
    ("destination", "value"),
    [
        ("_tenant.opened", "9999-12-31 23:59:59-0500"), ("_tenant.day", "0001-01-01 00:00:00+0500"),
        ("_tenant.score", "9" * 400), ("_tenant.ratio", "1" * 5000), ("_tenant.ratio", 10**400),
        ("_tenant.vip", ["yes"]),
    ],
)  # fmt: skip
def test_no_value_stops_the_other_mappings_of_a_row(destination, value):
    result = mapped({"c": value}, MappingEntry(destination, "c"))
    assert result.data == {"_id": "1"}
    assert [e.entry.destination for e in result.errors] == [destination]


def test_an_error_of_python_is_named_without_the_value():
    result = mapped({"c": "9999-12-31 23:59:59-0500"}, MappingEntry("_tenant.day", "c"))
    assert [e.message for e in result.errors] == ["The value cannot be computed (OverflowError)."]


@pytest.mark.parametrize(
    "source",
    [
        'c =~ "("',
        'get_url_query_str("http://[", "remove") / 0',
        'dformat(-99999999999999, "yyyy")',
        'lpad(c, 99999999999, "a")',
        "zone_date_to_zone(now(), 'America')",
        "json_to_object(j)[0]",
    ],
)
def test_no_expression_stops_the_other_mappings_of_a_row(source):
    result = mapped({"c": "x", "j": '["\\ud83d"]'}, expression("person.name.fullName", source))
    assert (result.data, len(result.errors)) == ({"_id": "1"}, 1)


def test_a_field_is_put_into_an_element_that_was_null():
    entries = (MappingEntry("_tenant.orders", "orders"), MappingEntry("_tenant.orders[0].sku", "sku"))
    assert mapped({"orders": [None, {"price": 1}], "sku": "a"}, *entries).data["_tenant"] == {
        "orders": [{"sku": "a"}, {"price": 1.0}]
    }


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (expression("_id", 'split(c, ";")'), "makes a single array, and the field takes string. Use join(...)"),
        (expression("_id", 'to_object("a", c)'), "makes a single object, and the field takes string."),
        (expression("_tenant.tags", "lower(c)"), "makes a single value, and the field takes array. Use explode"),
        (expression("_tenant.tags[*]", "lower(c)"), "the field takes values of a list"),
        (expression("address", "[c]"), "makes a single array, and the field takes object. Use to_object"),
        (MappingEntry("_tenant.tags[*]", "c"), "cannot convert string 'c' to array"),
        (MappingEntry("_tenant.tags[*]", "a", Kind.STATIC), "A constant does not fit"),
        (expression("_id", "upper(c.x)"), "'c' is a text without fields or elements. Map the column itself."),
        (expression("_id", 'iif(matches_regex(c, "("), c, null)'), "'(' is no regular expression"),
        (MappingEntry("_id", "c.value"), "'c' is a text without fields or elements. Map the column itself."),
        (expression("_tenant.opened", 'date(c, "foo")'), "no letter of a date pattern"),
        (expression("_tenant.opened", 'date(c, "month/dd")'), "no letter of a date pattern"),
        (expression("_tenant.opened", """date(c, "yyyy 'on")"""), "open quotation mark"),
        (expression("_tenant.labels", 'object_to_map("k", other)'), "The source has no column 'other'"),
        (expression("_tenant.tags", 'explode(c, "a(")'), "'a(' is no regular expression"),
        (expression("_id", 'iif(matches_regex(c, "[a"), c, null)'), "'[a' is no regular expression"),
        (MappingEntry("_id", "${CRM_ORG_ID}", Kind.STATIC), "is a variable of a template"),
        (MappingEntry("person..name", "c"), "is no path"),
        (MappingEntry("_id.", "c"), "is no path"),
        (MappingEntry("person[name].fullName", "c"), "is no path"),
        (MappingEntry("", "c"), "is no path"),
        (MappingEntry("${}", "c"), "is no path"),
        (expression("_id", "${.}"), "A field is missing"),
        (expression("_id", "+".join(["c"] * 600)), "nested more than 300 times"),
        (expression("_id", "!" * 900 + "c"), "nested more than 300 times"),
        (expression("_id", "upper(Full.Name)"), r"A column with a dot is written ${Full\.Name}."),
    ],
)
def test_what_would_fail_in_each_row_is_an_error(entry, says):
    errors = [
        p.message
        for p in check([entry], columns=[Column("c"), Column("Full.Name")], schema=SCHEMA)
        if p.grade is Grade.ERROR
    ]
    assert len(errors) == 1, errors
    assert says in errors[0]


@pytest.mark.parametrize(
    "entry",
    [
        MappingEntry("person.name.fullName", "c"),
        expression("_tenant.tags", "json_to_object(c)"),
        expression("_tenant.tags[*]", "json_to_object(c)"),
        expression("_tenant.labels", "object_to_map(list, type)"),
        expression("identityMap", 'to_object("Email", arrays_to_objects("id", [c]))'),
        expression("_tenant.orders", "arrays_to_objects('sku', explode(c))"),
        expression("_id", 'str_to_object(c).get("a")'),
        expression("_id", "iif(c == null, 'none', coalesce(c, who.name))"),
        expression("_tenant.tags", 'explode(c, "\\\\p{L}+")'),
        expression("_tenant.tags", 'explode(c, "(?<=;|, )")'),
        expression("_id", 'iif(matches_regex(c, "(?-i)x"), c, null)'),
        expression("_id", 'iif(matches_regex(c, "(?<y>[0-9]+)-"), c, null)'),
        expression("_tenant.opened", 'date(c, "yyyy-MM-dd A")'),
        MappingEntry("address", "who"),
        MappingEntry("_tenant.tags", "list"),
        MappingEntry("_tenant.orders[*].sku", "list[*].id"),
        MappingEntry("_tenant.tags[0]", "c"),
    ],
)
def test_what_may_work_is_no_error(entry):
    columns = [Column("c"), Column("list", "array"), Column("who", "object")]
    assert [p for p in check([entry], columns=columns, schema=SCHEMA) if p.grade is Grade.ERROR] == []
    assert [p for p in check([entry], columns=columns) if p.grade is Grade.ERROR] == []


def test_a_path_has_wrapped_steps():
    row = {"w x": {"y z": "v"}, "a.b": {"c": [1]}}
    entries = [MappingEntry("one", "${w x}.${y z}"), MappingEntry("two", r"${a\.b}.c[0]")]
    assert CompiledMappings(entries).apply(row).data == {"one": "v", "two": 1}
    columns = [Column("w x.y z", is_nested=True), Column("a.b", "object")]
    assert check(entries, columns=columns) == []


def test_two_spellings_of_one_destination_are_two_mappings():
    entries = [MappingEntry("_id", "c"), MappingEntry("${_id}", "c")]
    [problem] = check(entries, columns=[Column("c")], schema=SCHEMA)
    assert problem.message == "Two mappings have this destination. Remove one of them."


def test_an_assumption_is_a_note_and_an_undocumented_destination_a_warning():
    [note] = check([expression("_id", 'concat(c, "a")')], columns=[Column("c")], schema=SCHEMA)
    assert (note.grade, note.message) == (
        Grade.NOTE,
        "Adobe does not document concat of null. An empty text is assumed.",
    )
    [warning] = check([MappingEntry("identityMap.Email[0].id", "c")], columns=[Column("c")], schema=SCHEMA)
    assert warning.grade is Grade.WARNING


@pytest.mark.parametrize(
    ("name", "path"),
    [("a", "a"), ("a.b", r"${a\.b}"), ("null", "${null}"), ("é1", "é1"), ("a b", "${a b}")],
)
def test_a_name_is_escaped(name, path):
    assert escape_name(name) == path


@pytest.mark.parametrize(
    ("text", "steps", "column"),
    [
        ("a.b", ("a", "b"), "a.b"),
        ("a[0].b", ("a", 0, "b"), "a[0].b"),
        (r"a\.b", ("a.b",), "a.b"),
        ("${a.b}", ("a", "b"), "a.b"),
        (r"${a\.b}", ("a.b",), "a.b"),
        ("${E-mail}", ("E-mail",), "E-mail"),
        ("${date}.x.y", ("date", "x", "y"), "date.x.y"),
    ],
)
def test_the_source_of_an_attribute_is_a_path_or_a_column(text, steps, column):
    assert attribute_source(text) == (steps, column)


@pytest.mark.parametrize(
    ("name", "path", "column"),
    [
        ("date", "${date}", "${date}"),
        ("if", "${if}", "${if}"),
        ("date.x", "${date}.x", r"${date\.x}"),
        ("date[0]", "${date}[0]", "${date[0]}"),
        ("a.date", "a.date", r"${a\.date}"),
        ("sys_id", "sys_id", "sys_id"),
    ],
)
def test_a_word_of_the_language_is_wrapped(name, path, column):
    assert (wrap_reserved(name), column_path(name)) == (path, column)

"""A mapping set makes records of rows: paths, conversions and errors."""

import pytest

from aep_data_prep.checks import Column, Grade, check
from aep_data_prep.errors import EvaluationError
from aep_data_prep.mapping import CompiledMappings, Kind, MappingEntry
from aep_data_prep.schema import field_of

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

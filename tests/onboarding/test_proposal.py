"""Proposals of custom fields for the columns of a table."""

import pytest
import yaml

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.onboarding.xdm.fields import parse_fields
from airflow_provider_aep.onboarding.xdm.proposal import legal_name, propose

ROWS = 24


def column(name, kind="string", form=None):
    return {"name": name, "type": kind, "xdm": {"type": kind, **({"format": form} if form else {})}}


def sample(make):
    return [make(n) for n in range(ROWS)]


def of(values, kind="string", form=None, name="c"):
    """Return the field, mapping and comment for one column with these values."""
    found = propose([column(name, kind, form)], [{name: value} for value in values], "ticket")
    [path] = found.fields
    return found.fields[path], found.mappings[f"_{{tenant}}.{path}"], found.comments.get(path, "")


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("sys_id", "sysId"), ("E-mail (work)", "eMailWork"), ("Full.Name", "fullName"), ("NUMBER", "number"),
        ("Größe", "grosse"), ("2nd", "field2nd"), ("openedAt", "openedAt"), ("顧客", "field"), ("x" * 200, "x" * 80),
        ("ACCOUNT_ID", "accountId"),
    ],
)  # fmt: skip
def test_a_name_is_made_legal(name, legal):
    assert legal_name(name)[0] == legal
    parse_fields({legal: "string"})


@pytest.mark.parametrize(
    ("values", "kind", "form", "field", "mapping"),
    [
        ([1, 2], "integer", None, "long", "c"),
        ([1.5], "number", None, "number", "c"),
        ([True], "boolean", None, "boolean", "c"),
        (["x"], "string", "date-time", "date-time", "c"),
        ([["a"]], "array", None, "string[]", "c"),
        ([{"a": "b"}], "object", None, {"type": "map", "values": "string"}, "c"),
        (["yes", "no", None], "string", None, "boolean", "c"),
        (["2026-01-31 14:05:00", ""], "string", None, "date-time", {"expr": 'date(c, "yyyy-MM-dd HH:mm:ss")'}),
        (["2026-01-31"], "string", None, "date", "c"),
        (["2026-01-31T10:00:00Z", None], "string", None, "date-time", "c"),
        (
            ["2026-01-31T10:00:00.000+01:00"],
            "string",
            None,
            "date-time",
            {"expr": """date(c, "yyyy-MM-dd'T'HH:mm:ss.SSSXXX")"""},
        ),
        (["2026-01-31 10:00:00.123"], "string", None, "date-time", "c"),
        (["2026-01-31T10:00:00"], "string", None, "date-time", {"expr": """date(c, "yyyy-MM-dd'T'HH:mm:ss")"""}),
        ([2**60], "integer", None, "string", "c"),
        (["20260131"], "string", None, "string", "c"),
        (["31.01.2026"], "string", None, "date", {"expr": 'date(c, "dd.MM.yyyy")'}),
        (["31/01/2026"], "string", None, "date", {"expr": 'date(c, "dd/MM/yyyy")'}),
        (["01/31/2026"], "string", None, "date", {"expr": 'date(c, "MM/dd/yyyy")'}),
        (["a@b.example"], "string", None, {"type": "string", "format": "email"}, "c"),
        (["a;b", "c;d;e", "f"], "string", None, "string[]", {"expr": 'explode(c, ";")'}),
        (["x", "y"], "string", None, "string", "c"),
        (["007", "8"], "string", None, "string", "c"),
        ([None, ""], "string", None, "string", "c"),
        (["a b; c d"], "string", None, "string", "c"),
    ],
)
def test_a_type_is_taken_from_explore_and_from_the_sample(values, kind, form, field, mapping):
    assert of(values, kind, form)[:2] == (field, mapping)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["yes", "no"], "guess: all 2 values of the sample are no or yes"),
        (["01/02/2026"], "fit dd/MM/yyyy, and MM/dd/yyyy: choose"),
        ([None], "guess: no value in the sample"),
        (["text"], ""),
        (["x", "y"] * 12, "2 values in 24 rows of the sample: perhaps an enum"),
    ],
)
def test_a_guess_is_marked(values, says):
    assert says in of(values)[2]


def test_a_special_column_is_escaped_in_an_expression():
    field, mapping, _ = of(["31.01.2026"], name="Opened (local)")
    assert (field, mapping) == ("date", {"expr": 'date(${Opened (local)}, "dd.MM.yyyy")'})


def test_a_column_that_is_a_word_of_the_language_is_wrapped():
    assert of(["31.01.2026"], name="date")[1] == {"expr": 'date(${date}, "dd.MM.yyyy")'}


def test_the_fields_of_a_record_have_values():
    columns = [{**column("result.id"), "path": "result.id"}, {**column("result.at"), "path": "result.at"}]
    rows = [{"result": {"id": f"a{n}", "at": "2026-01-31T10:00:00Z"}} for n in range(3)]
    found = propose(columns, rows, "user")
    assert found.fields == {"user.resultId": "string", "user.resultAt": "date-time"}
    assert found.mappings["_id"] == "result.id"


def test_names_that_become_equal_stay_apart():
    found = propose([column("a_b"), column("A B"), column("顧客"), column("顧")], [], "Ticket table")
    assert list(found.fields) == ["ticketTable.aB", "ticketTable.aB2", "ticketTable.field", "ticketTable.field2"]
    assert found.comments["ticketTable.aB2"] == "column 'A B'; guess: no value in the sample"
    assert found.comments["ticketTable.field"].startswith("column '顧客'")


def test_the_key_is_a_column_with_another_value_in_each_row():
    columns = [column("state"), column("other_id"), column("number")]
    rows = sample(lambda n: {"state": "open", "other_id": str(n % 5), "number": f"INC{n}"})
    found = propose(columns, rows, "ticket")
    assert next(iter(found.mappings.items())) == ("_id", "number")
    assert "_id" not in propose(columns, [], "ticket").mappings


def test_the_text_is_the_same_each_time_and_can_be_read_again():
    columns = [column("number"), column("opened_at"), column("E-mail (work)"), column("state")]
    rows = sample(lambda n: {
        "number": f"INC{n}", "opened_at": f"2026-01-31 14:{n:02}:00", "E-mail (work)": f"a{n}@b.example",
        "state": ("open", "closed")[n % 2],
    })  # fmt: skip
    text = propose(columns, rows, "ticket").text()
    assert text == propose(columns, list(rows), "ticket").text()
    assert text.splitlines() == [
        "fields:",
        "  ticket.number: string",
        "  ticket.openedAt: date-time  # guess: all 24 values of the sample fit yyyy-MM-dd HH:mm:ss",
        "  ticket.eMailWork: {type: string, format: email}  # guess: all 24 values of the sample are email addresses",
        "  ticket.state: string  # 2 values in 24 rows of the sample: perhaps an enum",
        "mappings:",
        "  _id: number  # guess: number differs in all 24 rows of the sample",
        "  _{tenant}.ticket.number: number",
        """  _{tenant}.ticket.openedAt: {expr: 'date(opened_at, "yyyy-MM-dd HH:mm:ss")'}""",
        "  _{tenant}.ticket.eMailWork: E-mail (work)",
        "  _{tenant}.ticket.state: state",
    ]
    read = yaml.safe_load(text)
    assert read["mappings"] == propose(columns, rows, "ticket").mappings
    parse_fields(read["fields"])


def test_a_table_without_columns_is_refused():
    with pytest.raises(AepConfigurationError, match="There is no column"):
        propose([], [], "ticket")

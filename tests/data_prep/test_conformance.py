"""Adobe's own samples of the mapping language. The expected values are Adobe's, never those of the evaluator.

Source: Adobe's "Data Prep mapping functions", "Mapping sets" and the mapping pages of its connectors. Samples that
contradict themselves are left out; a corrected one names its correction.
"""

import re
from datetime import UTC, datetime

import pytest

from aep_data_prep.dates import iso
from aep_data_prep.errors import ExpressionSyntaxError, NotOfflineError
from aep_data_prep.evaluate import evaluate
from aep_data_prep.syntax import parse

NOW = datetime(2021, 10, 26, 10, 10, 24, tzinfo=UTC)
REGEX = '"E259,E259B_009,1_1", "([^,]+),[^,]*,([^,]+)"'
BOOK = {"author": "George R. R. Martin", "price": 17.99, "ISBN": "ISBN-978-0553801477"}
BOOK_2 = {"author": "Neil Gaiman", "price": 17.99, "ISBN": "ISBN-0-380-97365-0", "publisher": "William Morrow"}
ADDRESSES = [{"type": t, "street": f"{n} Main"} for n, t in enumerate(("home", "work", "office"))]
ROW = {
    "book_details": BOOK,
    "book_details2": BOOK_2,
    "address": {"line1": "345 park ave", "city": "san jose"},
    "addresses": ADDRESSES,
    "evars": {"evar": {"field1": None}},
    "web.ecid": "ecid:1 2",
    "M_Annual_Revenue1": "12.5",
    "Id": "003",
}

SAMPLES = [
    ('concat("Hi, ", "there", "!")', "Hi, there!"),
    ('explode("Hi, there!", " ")', ["Hi,", "there!"]),  # Adobe prints "there" without its "!"
    ('instr("adobe.com", "com")', 6),
    ('replacestr("This is a string re test", "re", "replace")', "This is a string replace test"),
    ('substr("This is a substring test", 7, 8)', " a subst"),
    ('lower("HeLLo")', "hello"),
    ('lcase("HeLLo")', "hello"),
    ('upper("HeLLo")', "HELLO"),
    ('ucase("HeLLo")', "HELLO"),
    ('split("Hello world", " ")', ["Hello", "world"]),
    ('join(" ", to_array(true, "Hello", "world"))', "Hello world"),
    ('lpad("bat", 8, "yz")', "yzyzybat"),
    ('rpad("bat", 8, "yz")', "batyzyzy"),
    ('left("abcde", 2)', "ab"),
    ('right("abcde", 2)', "de"),
    ('ltrim(" hello")', "hello"),
    ('rtrim("hello ")', "hello"),
    ('trim(" hello ")', "hello"),
    ('"string1".equals("STRING1")', False),
    ('"string1".equalsIgnoreCase("STRING1")', True),  # Adobe's sample lacks a quotation mark
    (f"extract_regex({REGEX})", ["E259,E259B_009,1_1", "E259", "1_1"]),
    (f"matches_regex({REGEX})", True),
    ('sha1("my text", "UTF-8")', "c3599c11e47719df18a2448690840c5dfcce3c80"),
    ('sha256("my text", "UTF-8")', "7330d2b39ca35eaf4cb95fc846c21ee6a39af698154a83a586ee270a0d372104"),
    (
        'sha512("my text", "UTF-8")',
        "a3d7e45a0d9be5fd4e4b9a3b8c9c2163c21ef708bf11b4232bb21d2a8704ada2cdcd7b367dd0788a89a5c908cfe377aceb1072a7b386b7d4"
        "fd2ff68a8fd24d16",
    ),
    ('md5("my text", "UTF-8")', "d3b96ce8c9fb4e9bd0198d03ba6852c7"),
    ('crc32("my text", "UTF-8")', "8df92e80"),
    ('get_url_protocol("https://platform.adobe.com/home")', "https"),
    ('get_url_host("https://platform.adobe.com/home")', "platform.adobe.com"),
    ('get_url_port("sftp://example.com//home/joe/employee.csv")', 22),
    ('get_url_path("sftp://example.com//home/joe/employee.csv")', "//home/joe/employee.csv"),
    ('get_url_query_str("foo://example.com:8042/over/there?name=ferret#nose", "retain")', {"name": "ferret#nose"}),
    ('get_url_query_str("foo://example.com:8042/over/there?name=ferret#nose", "remove")', {"name": "ferret"}),
    (
        'get_url_query_str("foo://example.com:8042/over/there?name=ferret#nose", "append")',
        {"name": "ferret", "_anchor_": "nose"},
    ),
    (
        'get_url_encoded("https://example.com/partneralliance_asia-pacific_2022")',
        "https%3A%2F%2Fexample.com%2Fpartneralliance_asia-pacific_2022",
    ),
    (
        'get_url_decoded("https%3A%2F%2Fexample.com%2Fpartneralliance_asia-pacific_2022")',
        "https://example.com/partneralliance_asia-pacific_2022",
    ),
    ('format(date("2019-10-23T11:24:00Z"), "yyyy-MM-dd HH:mm:ss")', "2019-10-23 11:24:00"),  # its date is no literal
    ("dformat(1571829875000, \"yyyy-MM-dd'T'HH:mm:ss.SSSX\")", "2019-10-23T11:24:35.000Z"),
    ('date("2019-10-23 11:24", "yyyy-MM-dd HH:mm", now())', "2019-10-23T11:24:00Z"),
    ('date("2019-10-23 11:24", "yyyy-MM-dd HH:mm")', "2019-10-23T11:24:00Z"),
    ('date_part("MM", date("2019-10-17 11:55:12"))', 10),
    ('set_date_part("m", 4, date("2016-11-09T11:44:44.797"))', "2016-04-09T11:44:44Z"),  # its bracket is missing
    ("is_empty([1, null, 2, 3])", False),
    (
        r"arrays_to_objects('sku', explode('id1|id2', '\\|'), 'price', [22.5,14.35])",
        [{"sku": "id1", "price": 22.5}, {"sku": "id2", "price": 14.35}],
    ),
    ('to_object("firstName", "John", "lastName", "Doe")', {"firstName": "John", "lastName": "Doe"}),
    ('str_to_object("firstName - John ; lastName - ; phone - 123 456 7890", "-", ";").get("firstName")', "John"),
    ('contains_key("evars.evar.field1")', True),
    ('contains_key("evars.evar.field2")', False),
    ("nullify()", None),
    ('get_keys({"book1": "Pride and Prejudice", "book2": "1984"})', ["book1", "book2"]),
    ('get_values("firstName - John , lastName - Cena , phone - 555 420 8692", "firstName", "-", ",")', "John"),
    ('map_has_keys(book_details, "author")', True),
    ("add_to_map(book_details, book_details2)", {**BOOK_2, **BOOK}),
    ('object_to_map("firstName", "John", "lastName", "Doe")', {"firstName": "John", "lastName": "Doe"}),
    ("object_to_map(address)", ROW["address"]),
    ("object_to_map(addresses, type)", {a["type"]: a for a in ADDRESSES}),
    ('array_to_map(addresses, "type")', {a["type"]: a for a in ADDRESSES}),
    ('coalesce(null, null, null, "first", null, "second")', "first"),
    ('first("1", "2", "3")', "1"),
    ('last("1", "2", "3")', "3"),
    ("add_to_array(['a', 'b'], 'c', 'd')", ["a", "b", "c", "d"]),
    ("join_arrays(['a', 'b'], ['c'], ['d', 'e'])", ["a", "b", "c", "d", "e"]),
    ("to_array(false, 1, null, 2, 3)", [1, 2, 3]),
    ("size_of([1, 2, 3, 4])", 4),
    ("upsert_array_append([123, 456])", [123, 456]),
    ("upsert_array_replace([123, 456], 1)", [123, 456]),
    ('array_to_string(";", ["Hello", "world"])', "Hello;world"),
    ("filterArray([5, -6, 0, 7], x -> x > 0)", [5, 7]),
    ("transformArray([5, 6, 7], x -> x + 1)", [6, 7, 8]),
    ("flattenArray([[['a', 'b'], ['c', 'd']], [['e'], ['f']]])", ["a", "b", "c", "d", "e", "f"]),
    ('to_map("firstName", "John", "lastName", "Doe")', {"firstName": "John", "lastName": "Doe"}),
    ('iif("s".equalsIgnoreCase("S"), "True", "False")', "True"),
    ("min(3, 1, 4)", 1),
    ("max(3, 1, 4)", 4),
    ('to_decimal("20.5")', 20.5),
    ('to_integer("12")', 12),
    # The connectors' mapping pages.
    ('"Salesforce"', "Salesforce"),
    ('concat(Id, "@ORG.Salesforce")', "003@ORG.Salesforce"),
    ("to_decimal(M_Annual_Revenue1)", 12.5),
    (
        r"""iif(${web\.ecid} != null, to_object('ECID', arrays_to_objects('id', """
        r"""explode(last(split(${web\.ecid}, ":")), " "))), null)""",
        {"ECID": [{"id": "1"}, {"id": "2"}]},
    ),
]


@pytest.mark.parametrize(("expression", "expected"), SAMPLES, ids=[e[:60] for e, _ in SAMPLES])
def test_a_sample_has_adobes_result(expression, expected):
    found = evaluate(expression, ROW, now=lambda: NOW)
    assert (iso(found) if isinstance(found, datetime) else found) == expected


@pytest.mark.parametrize(("code", "name"), [("ca", "California"), ("pa", "Pennsylvania"), ("ny", "N/A")])
def test_decode(code, name):
    expression = 'decode(stateCode, "ca", "California", "pa", "Pennsylvania", "N/A")'
    assert evaluate(expression, {"stateCode": code}) == name


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"total_consents": 5001, "marketing_type": "email"}, "email"),
        ({"total_consents": 5001, "marketing_type": "phone"}, None),
        ({"total_consents": 10, "marketing_type": "x"}, "insufficient-consents"),
    ],
)
def test_nested_conditions(row, expected):
    expression = (
        'iif(total_consents > 5000, iif(marketing_type.equals("phone"), nullify(), marketing_type), '
        '"insufficient-consents")'
    )
    assert evaluate(expression, row) == expected


@pytest.mark.parametrize(("code", "name"), [("1", "male"), ("2", "female"), ("3", None)])
def test_gender(code, name):
    expression = 'iif(gendercode.equals("1"), "male", iif(gendercode.equals("2"), "female", null))'
    assert evaluate(expression, {"gendercode": code}) == name


def test_now_and_timestamp_read_the_given_clock():
    assert evaluate("now()", now=lambda: NOW) == NOW
    assert evaluate("timestamp()", now=lambda: NOW) == 1_635_243_024_000


@pytest.mark.parametrize("name", ["uuid", "guid"])
def test_a_random_id_has_the_fourth_version(name):
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", evaluate(f"{name}()"))
    assert evaluate(f"{name}()", new_id=lambda: "given") == "given"


def test_a_sample_with_a_bracket_too_many_does_not_parse():
    with pytest.raises(ExpressionSyntaxError, match="column 39"):
        parse("iif(unsubscribed == 'true', 'n', 'y' ))")


@pytest.mark.parametrize("expression", ['fpid_to_ecid("4ed70bee")', "ua_os_name(agent)"])
def test_an_algorithm_that_is_not_public_is_refused(expression):
    with pytest.raises(NotOfflineError, match="cannot be computed without AEP"):
        evaluate(expression)

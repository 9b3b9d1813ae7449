"""Each function and operator at its edges: null, empty, wrong types and the exact words of an error.

The values come from Adobe's documents, from JEXL's and Java's, or from our named choices; none from the evaluator.
"""

import importlib
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from aep_data_prep import EvaluationError, Field, NotOfflineError, evaluate, implementations, operators
from aep_data_prep.choices import resolve
from aep_data_prep.conversions import converter
from aep_data_prep.values import date_of, text_of, type_name

AT = datetime(2026, 1, 31, 14, 5, 6, 789_000, tzinfo=UTC)
evaluator = importlib.import_module("aep_data_prep.evaluate")  # the package has a function of this name
ROW = {
    "n": 7, "r": 2.5, "s": "text", "b": True, "at": AT, "list": ["a", None, "b"], "void": [], "x": None,
    "map": {"k": 1, "m": "2"}, "a.b": "dotted", "people": [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bo"}],
    "word": "size",
}  # fmt: skip


def value_of(text, **choices):
    return evaluate(text, ROW, choices=choices, now=lambda: AT, new_id=lambda: "new-id")


OPERATORS = [
    ("1 + 2", 3), ("1 + 2.5", 3.5), ("r + r", 5.0), ("s + 1", "text1"), ("1 + s", "1text"), ("b + 1", 2),
    ("5 - 7", -2), ("n - r", 4.5), ("n * 3", 21), ('"4" * 2', 8), ("n / 2", 3), ("-n / 2", -3), ("n / -2", -3),
    ("-7 / -2", 3), ("n / 2.0", 3.5), ("r / 2", 1.25), ("n % 4", 3), ("-7 % 4", -3), ("7 % -4", 3), ("r % 2", 0.5),
    ("7 mod 4", 3), ("7 div 2", 3), ("1b + 0.5", Decimal("1.5")), ("0.5 + 1b", Decimal("1.5")),
    ("n == 7", True), ("n eq 8", False), ("n != 8", True), ("n ne 7", False), ('s == "text"', True),
    ("x == null", True), ("x == 0", False), ("x != null", False), ("s != null", True), ('1.5 == "1.5"', True),
    ('"x" == 1', False), ('n === 7', True), ('n === "7"', False), ('n !== "7"', True), ("n !== 7", False),
    ("n < 8", True), ("n lt 7", False), ("n <= 7", True), ("n le 6", False), ("n > 6", True), ("n gt 7", False),
    ("n >= 7", True), ("n ge 8", False), ('"a" < "b"', True), ('"b" <= "a"', False), ('n < "8"', True),
    ("at < now()", False), ("at <= now()", True), ("at >= now()", True), ("x < 1", False), ("x >= x", True),
    ("x > x", False), ("1 < x", False), ("true == 'false'", False), ("false == ''", True), ("true == 1", True),
    ('s =~ "t.*"', True), ('s =~ "t"', False), ('s !~ "t"', True), ('s !~ "text"', False), ('"a" =~ list', True),
    ('"c" =~ list', False), ('"k" =~ map', True), ('"z" !~ map', True), ('x =~ "a"', False), ('s =^ "tex"', True),
    ('s =^ "xt"', False), ('s !^ "tex"', False), ('s !^ "xt"', True), ('s =$ "xt"', True), ('s =$ "tex"', False),
    ('s !$ "xt"', False), ('s !$ "tex"', True), ('x =^ "a"', False), ('x =$ "a"', False),
    ("6 | 3", 7), ("6 & 3", 2), ("6 ^ 3", 5), ("1 << 4", 16), ("-16 >> 2", -4), ("-1 >>> 60", 15), ('"6" & 3', 2),
    ("-n", -7), ("+n", 7), ("~n", -8), ("-r", -2.5), ("!b", False), ("not b", False), ("!x", True), ("!s", False),
    ('!""', True), ('!"false"', True), ("!0", True), ("!0.0", True), ("!1", False), ("!list", False), ("!void", False),
    ("empty x", True), ('empty ""', True), ("empty s", False), ("empty list", False), ("empty map", False),
    ("size s", 4), ("size list", 3), ("size map", 2), ("size x", 0), ("b && n", True), ("b and x", False),
    ("x or n", True), ("x || 0", False), ("x ?: s", "text"), ("n ?: s", 7), ('"" ?: s', "text"), ("0 ?: 1", 1),
    ("x ?? s", "text"), ("0 ?? 1", 0), ("b ? 1 : 2", 1), ("x ? 1 : 2", 2), ("!NaN", True),
    ("[1, s]", [1, "text"]), ("[]", []), ('{"a": n}', {"a": 7}), ("{:}", {}), ("{n: s}", {"7": "text"}),
    ("list[0]", "a"), ("list[1]", None), ("list[9]", None), ("list[3]", None), ("people[2].name", None),
    ("${a.b}", "dotted"), ("upper(${a.b})", "DOTTED"), ("map.k", 1), ("map['m']", "2"), ("map.z", None),
    ("x.k", None), ("x[0]", None), ("people[1].name", "Bo"),
    ("explode('a,b')[0]", "a"), ("explode('a,b')[2]", None), ("explode('a,b')[0 - 1]", None), ("explode(x)[0]", None),
    ("explode('a,b')[1]", "b"), ("[1, 2][n - 6]", 2),
    ('str_to_object("a:1").a', "1"), ('s.equals("text")', True), ('n.equals("7")', False), ("n.equals(7)", True),
    ('s.equals("TEXT")', False), ('s.equalsIgnoreCase("TEXT")', True), ("s.equalsIgnoreCase(n)", False),
    ('x.equals("a")', None), ('x.equalsIgnoreCase("a")', None), ('map.get("k")', 1), ('map.get("z")', None),
    ("0x1F", 31), ("017", 15), ("1L", 1), ("2h", 2), ("1.5f", 1.5), ("1e3", 1000.0), ("2d", 2.0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), OPERATORS)
def test_operator(text, value):
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


FUNCTIONS = [
    ("concat(s)", "text"), ("concat(x, n, b, r)", "7true2.5"), ("concat(at)", "2026-01-31T14:05:06.789Z"),
    ("lower(x)", None), ("lcase('AbC')", "abc"), ("upper(n)", "7"), ("ucase('AbC')", "ABC"), ("upper(b)", "TRUE"),
    ("trim(' a ')", "a"), ("ltrim(' a ')", "a "), ("rtrim(' a ')", " a"), ("trim(x)", None),
    ("explode(x)", None), ('explode("a;;b;", ";")', ["a", "", "b", ""]), ("explode(n)", ["7"]),
    ('split(x, ",")', None), ('split("a,b c", ", ")', ["a", "b", "c"]), ('split("a-b]c", "-]")', ["a", "b", "c"]),
    ('instr(x, "a")', -1), ("instr(s, x)", -1), ('instr(s, "x")', 2), ('instr(s, "q")', -1),
    ('instr("aXbX", "X", 2)', 3),
    ('instr("aXbX", "X", 0, 2)', 3), ('instr("aXbX", "X", 0, 3)', -1), ('instr("XX", "X", 0)', 0),
    ('replacestr(x, "a", "b")', None), ('replacestr("aa", "", "b")', "aa"), ('replacestr("aa", "a", x)', "aa"),
    ('replacestr("a.a", ".", "-")', "a-a"), ("replacestr(77, 7, 8)", "88"), ('replacestr("aa", x, "b")', "aa"),
    ("substr(x, 0, 1)", None), ("substr(s, 1, 2)", "ex"), ("substr(s, 3, 9)", "t"), ("substr(s, 9, 1)", ""),
    ("substr(s, 0, 0)", ""), ('join("-", list)', "a--b"), ('join("-", x)', None), ('join("", list)', "ab"),
    ('lpad("7", 3, "0")', "007"), ('rpad("7", 3, "0")', "700"), ("lpad(x, 3, '0')", None), ("rpad(x, 3, '0')", None),
    ('lpad("abc", 2, "0")', "abc"), ('lpad("a", 2, "")', " a"), ('rpad("a", 3, x)', "a  "),
    ('lpad("a", 4, "xy")', "xyxa"),
    ('rpad("abc", 3, "0")', "abc"), ("left(s, 3)", "tex"), ("left(s, 9)", "text"), ("left(s, -1)", ""),
    ("left(x, 1)", None),
    ("right(s, 2)", "xt"), ("right(s, 9)", "text"), ("right(s, 0)", ""), ("right(s, -2)", ""), ("right(x, 1)", None),
    ('extract_regex("a1b2", "([a-z])([0-9])")', ["a1", "a", "1"]), ('extract_regex(s, "[0-9]")', []),
    ('extract_regex(x, "a")', None), ('matches_regex(s, "t.*t")', True), ('matches_regex(s, "ex")', False),
    ('matches_regex(x, "a")', None), ("sha1(x)", None), ('md5("", "UTF-8")', "d41d8cd98f00b204e9800998ecf8427e"),
    ('md5("ä", "ISO-8859-1")', "c15bcc5577f9fade4b4a3256190a59b0"), ('crc32("a", "UTF-16")', "abdbd0c3"),
    ('get_url_protocol("no url")', None), ('get_url_host("https://A.example:80/x")', "a.example"),
    ('get_url_port("https://a.example")', 443), ('get_url_port("http://a.example")', 80), ("get_url_host(x)", None),
    ('get_url_port("ftp://a.example")', 21), ('get_url_port("ssh://a.example")', 22), ('get_url_port("x://a")', None),
    ('get_url_port("https://a.example:99")', 99), ('get_url_port("https://a.example:zz")', None),
    ('get_url_path("https://a.example/x/y")', "/x/y"), ('get_url_path("https://a.example/x/y", false)', "y"),
    ('get_url_path("a")', None), ('get_url_query_str("a", "remove")', None),
    ('get_url_query_str("https://a.example/?a=1&b=", "remove")', {"a": "1", "b": ""}),
    ('get_url_query_str("https://a.example/?a=1", "retain")', {"a": "1"}),
    ('get_url_query_str("https://a.example/?a=1", "append")', {"a": "1"}),
    ('get_url_encoded("a b~c-d_e.f/é")', "a%20b%7Ec-d_e.f%2F%C3%A9"), ("get_url_encoded(x)", None),
    ('get_url_decoded("a%20b+c")', "a b+c"),
    ("now()", AT), ("timestamp()", 1_769_868_306_789), ("date(x)", None), ('date("")', None), ("date(at)", AT),
    ('date(x, "yyyy", "2026-01-31")', datetime(2026, 1, 31, tzinfo=UTC)), ("date(x, 'yyyy', at)", AT),
    ('date("31/1/2026", "d/M/yyyy")', datetime(2026, 1, 31, tzinfo=UTC)), ("format(x, 'yyyy')", None),
    ('format(at, "dd.MM.yyyy")', "31.01.2026"), ('format("2026-01-31", "yyyy")', "2026"), ("dformat(x, 'yyyy')", None),
    ('dformat(0, "yyyy-MM-dd HH:mm:ss")', "1970-01-01 00:00:00"), ('dformat(-1, "ss.SSS")', "59.999"),
    ("date_part('year', at)", 2026), ("date_part('YY', at)", 2026), ("date_part('q', at)", 1),
    ("date_part('m', at)", 1),
    ("date_part('quarter', date('2026-12-31'))", 4), ("date_part('qq', date('2026-04-01'))", 2),
    ("date_part('dy', at)", 31), ("date_part('d', at)", 31), ("date_part('ww', at)", 5), ("date_part('dw', at)", 6),
    ("date_part('hh', at)", 14), ("date_part('hh12', at)", 2), ("date_part('hh12', date('2026-01-31'))", 12),
    ("date_part('mi', at)", 5), ("date_part('ss', at)", 6), ("date_part('SSS', at)", 789), ("date_part('d', x)", None),
    ("date_part('minute', at)", 5), ("date_part('millisecond', at)", 789), ("date_part('weekday', at)", 6),
    ("set_date_part('d', 1, at)", datetime(2026, 1, 1, 14, 5, 6, tzinfo=UTC)), ("set_date_part('d', 1, x)", None),
    ("set_date_part('year', 2027, at)", datetime(2027, 1, 31, 14, 5, 6, tzinfo=UTC)),
    ("set_date_part('n', 0, at)", datetime(2026, 1, 31, 14, 0, 6, tzinfo=UTC)),
    ("make_timestamp(2026, 1, 31, 14, 5, 6, 789000000, 'UTC')", AT), ("zone_date_to_utc(x)", None),
    ("make_date_time(2026, 1, 31, 15, 5, 6, 789000000, 'Europe/Berlin')", AT), ("zone_date_to_utc(at)", AT),
    ("zone_date_to_zone(x, 'UTC')", None), ("date_part('hh', zone_date_to_zone(at, 'Europe/Berlin'))", 15),
    ("is_empty(x)", True), ('is_empty("")', True), ("is_empty(s)", False), ("is_empty(void)", True),
    ("is_empty(0)", False),
    ("nullify()", None), ("to_object('a', n, 'b', x)", {"a": 7, "b": None}), ("to_map(n, s)", {"7": "text"}),
    ('contains_key("map.k")', True), ('contains_key("map.z")', False), ('contains_key("x")', True),
    ('is_set("y")', False),
    ("get_keys(map)", ["k", "m"]), ("get_keys(x)", None), ("arrays_to_objects('a', x, 'b', [1])", [{"b": 1}]),
    ("arrays_to_objects('a', [1, 2], 'b', [3, null])", [{"a": 1, "b": 3}, {"a": 2}]),
    ('str_to_object(x)', None), ('str_to_object("a:1,b : 2 ,c,a:3")', {"a": "1", "b": "2"}),
    ('str_to_object("a=1;b=2", "=", ";")', {"a": "1", "b": "2"}),
    ('str_to_object("a:1,b:2", x, "")', {"a": "1", "b": "2"}),
    ('get_values("a:1,b:2", "b", "")', "2"), ('get_values("a:1", "z", ":")', None), ('get_values(x, "a", ":")', None),
    ('get_values("a-1;b-2", "b", "-", ";")', "2"), ('map_get_values(x, "a")', None), ('map_get_values(map, "k")', 1),
    ('map_get_values(map, "z")', None), ('map_get_values(map, ["k", "z", "m", "k"])', [1, "2"]),
    ('map_get_values({"1": "a"}, 1)', "a"), ('map_has_keys(x, "a")', False), ('map_has_keys(map, ["z", "k"])', True),
    ('map_has_keys(map, "z")', False), ('map_has_keys({"1": 2}, 1)', True),
    ('add_to_map(map, {"k": 5, "q": 6}, x)', {"k": 1, "m": "2", "q": 6}), ("object_to_map(x)", None),
    ("object_to_map(map)", {"k": 1, "m": "2"}), ("object_to_map('a', 1)", {"a": 1}),
    ("object_to_map(people, name)", {"Ann": {"id": 1, "name": "Ann"}, "Bo": {"id": 2, "name": "Bo"}}),
    ('array_to_map(people, "id")', {"1": {"id": 1, "name": "Ann"}, "2": {"id": 2, "name": "Bo"}}),
    ('array_to_map(x, "id")', None), ("json_to_object(x)", None), ('json_to_object("[1, {}]")', [1, {}]),
    ("json_to_object(map)", {"k": 1, "m": "2"}), ("json_to_object(list)", ["a", None, "b"]),
    ("coalesce(x, x)", None), ("coalesce(x, n, s)", 7), ("coalesce(list)", "a"), ("coalesce([null, 2])", 2),
    ("first(x)", None), ("first(void)", None), ("first(list)", "a"), ("first(n, s)", 7), ("last(list)", "b"),
    ("last(n, s)", "text"), ("last(void)", None), ("last(x)", None), ("size_of(s)", 4), ("size_of(x)", 0),
    ("size_of(map)", 2),
    ("upsert_array_append(list)", ["a", None, "b"]), ("upsert_array_replace(list, 1)", ["a", None, "b"]),
    ("add_to_array(x, 1)", [1]), ("add_to_array(list, 1, 2)", ["a", None, "b", 1, 2]),
    ("join_arrays(list, x, [1])", ["a", None, "b", 1]), ("to_array(true, 1, x)", [1, None]),
    ("to_array(false, 1, x)", [1]),
    ("flattenArray(x)", None), ("flattenArray([1, [2, [3]]])", [1, 2, 3]), ('array_to_string("-", x)', None),
    ('array_to_string("-", [1, [2]])', "1-2"), ('array_to_string(",", [{"id": 1, "n": "a"}])', "{'id':1,'n':a}"),
    ('array_to_string(",", [at])', "1769868306789"), ("filterArray(list, i -> i != null)", ["a", "b"]),
    ("transformArray([1, 2], i -> i * 2)", [2, 4]), ("filterArray(x, i -> i)", None),
    ("transformArray([[1, 2], [3]], i -> size_of(filterArray(i, j -> j > 1)) + i[0])", [2, 4]),
    ("transformArray([1], n -> n)[0] + n", 8), ("object_to_map(s, n)", {"text": 7}),
    ("object_to_map(people, concat('na', 'me'))", {"Ann": {"id": 1, "name": "Ann"}, "Bo": {"id": 2, "name": "Bo"}}),

    ("transformArray(x, i -> i)", None),
    ("min(3, 1, 2)", 1), ("max(3, 1, 2)", 3), ("min(x, 2)", 2), ("max(x)", None), ('min("b", "a")', "a"),
    ("max([1, 5, 2])", 5), ("min(1, 0.5)", 0.5), ("max(at, now())", AT), ("min(2, 2.0)", 2),
    ('to_bigint("12")', 12), ("to_bigint(x)", None), ('to_integer("")', None), ('to_integer("12.0")', 12),
    ('to_decimal("1.5")', 1.5), ("to_decimal(2)", 2.0), ('to_float("0.1")', 0.10000000149011612), ("to_float(x)", None),
    ("uuid()", "new-id"), ("guid()", "new-id"), ("iif(b, 1, 2)", 1), ("iif(x, 1, 2)", 2),
    ('decode("b", "a", 1, "b", 2, 3)', 2), ('decode("z", "a", 1, "b", 2, 3)', 3), ('decode("z", "a", 1)', None),
    ("decode(x, null, 1, 2)", 1), ('decode(n, "7", "seven", "other")', "seven"), ('decode("a", "a", 1, "a", 2)', 1),
    ("decode(n, n, s, x)", "text"), ("decode(n, r, s, n)", 7), ('contains_key("a.b")', True),
    ("transformArray([1, 2], i -> decode(i, 1, n, i))", [7, 2]), ('str_to_object("a:b:c").a', "b:c"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), FUNCTIONS)
def test_function(text, value):
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


MESSAGES = [
    ("x + 1", "An operand of + is null. Use coalesce(field, 0), or concat(...) for texts."),
    ("1 - x", "An operand of - is null. Use coalesce(field, 0)."),
    ("x * 1", "An operand of * is null. Use coalesce(field, 0)."),
    ("x / 1", "An operand of / is null. Use coalesce(field, 0)."),
    ("x % 1", "An operand of % is null. Use coalesce(field, 0)."),
    ("x | 1", "An operand of | is null. Use coalesce(field, 0)."),
    ("1 << x", "An operand of << is null. Use coalesce(field, 0)."),
    ("x & 1", "An operand of & is null. Use coalesce(field, 0)."),
    ("x ^ 1", "An operand of ^ is null. Use coalesce(field, 0)."),
    ("x >> 1", "An operand of >> is null. Use coalesce(field, 0)."),
    ("x >>> 1", "An operand of >>> is null. Use coalesce(field, 0)."),
    ("-x", "The operand of - is null. Use coalesce(field, 0)."),
    ("~x", "The operand of ~ is null. Use coalesce(field, 0)."),
    ("n / 0", "Division by 0."), ("n % 0", "Division by 0."), ('s * 2', "text 'text' is no number."),
    ("list * 2", "array '[\"a\", null, \"b\"]' is no number."),
    ('"1.5" > 1', "'1.5' is no whole number, and is compared with 1. Write 1.0."),
    ('1 > "1.5"', "'1.5' is no whole number, and is compared with 1. Write 1.0."),
    ("at > 1", "date and whole number have no order. Use date(...) on both sides."),
    ('s < at', "text and date have no order. Use date(...) on both sides."),
    ("size n", "whole number '7' has no size."),
    ("size_of(b)", "boolean 'true' has no size."), ('s.get("k")', "text 'text' is no object."),
    ("s.trim()", "There is no method trim. Use one of: equals, equalsIgnoreCase, get."),
    ("s.equals()", "The method equals takes 1 argument."),
    ("x -> 1", "A lambda may only be an argument of filterArray and transformArray."),
    ("nvl(x, 1)", 'There is no function nvl. Use coalesce(value, "default").'),
    ("uper(s)", "There is no function uper. Did you mean upper?"),
    ("qwertz(s)", "There is no function qwertz. See the function reference."),
    ("lower()", "lower does not take 0 arguments. Write lower(text)."),
    ("lower(s, s)", "lower does not take 2 arguments. Write lower(text)."),
    ("fpid_to_ecid(s)", "fpid_to_ecid cannot be computed without AEP: its algorithm is not public."),
    ("substr(s, -1, 1)", "substr takes no negative position or length."),
    ("substr(s, 0, -1)", "substr takes no negative position or length."),
    ('substr(s, "a", 1)', "text 'a' is no number."), ("substr(s, 1.5, 1)", "'1.5' is no whole number."),
    ('join("-", s)', "text 'text' is no array."), ("add_to_array(s, 1)", "text 'text' is no array."),
    ('join_arrays(s, [1])', "text 'text' is no array."),
    ("get_keys(list)", "array '[\"a\", null, \"b\"]' is no object."),
    ('sha1(s, "EBCDIC")', "'EBCDIC' is no charset. Use one of: UTF-8, UTF-16, ISO-8859-1, US-ASCII."),
    ('get_url_query_str(s, "drop")', "'drop' is no anchor mode. Use \"retain\", \"remove\" or \"append\"."),
    ("date_part('z', at)", "'z' is no component of a date. Use year, month, day, hour, minute or second."),
    ("date_part('d', n)", "whole number '7' is no date."),
    ("set_date_part('q', 1, at)", "set_date_part cannot set quarter. Use year, month, day, hour, minute or second."),
    ("max(n, s)", "whole number and text have no order."), ("min(at, n)", "date and whole number have no order."),
    ("object_to_map('a', 1, 'b')", "object_to_map takes keys and values in pairs."),
    ("array_to_map(s, 'a')", "text 'text' is no array."), ("array_to_map(list, 'a')", "text 'a' is no object."),
    ("to_integer('a')", "text 'a' is no number."), ("to_bigint('1.5')", "'1.5' is no whole number."),
    ("to_decimal(s)", "text 'text' is no number."),
    ("filterArray(s, i -> i)", "text 'text' is no array."),
    ("filterArray(list, s)", "The second argument of filterArray is a lambda. Write x -> ..."),
    ("explode('a,b')['x']", "'x' is no index of an array."),
    ("explode('a,b')[true]", "'true' is no index of an array."),

]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MESSAGES)
def test_the_words_of_an_error(text, message):
    with pytest.raises(EvaluationError) as caught:
        value_of(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ('s =~ "("', "'(' is no regular expression: "),
        ('matches_regex(s, "(")', "'(' is no regular expression: "),
        ('sha1("é", "US-ASCII")', "The text has a character that US-ASCII does not have: "),
        ("set_date_part('m', 13, at)", "The date has no month 13: "), ('json_to_object("{")', "The text is no JSON: "),
        ("make_date_time(2026, 13, 1, 0, 0, 0, 0, 'UTC')", "The parts are no date: "),
    ],
)  # fmt: skip
def test_an_error_begins_with_its_subject(text, begins):
    with pytest.raises(EvaluationError) as caught:
        value_of(text)
    assert str(caught.value).startswith(begins)


LENIENT = [
    ("x + 1", 1), ("1 + x", 1), ("x + x", 0), ("s + x", "text"), ("1 - x", 1), ("x * 3", 0), ("n / 0", 0.0),
    ("n % 0", 0.0),
    ('"2" + 3', 5), ('3 + "2"', 5), ('"a" + 3', "a3"), ('"2" + "3"', "23"), ("-x", 0), ("+x", 0), ("~x", -1),
    ("x | 5", 5),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), LENIENT)
def test_lenient_arithmetic(text, value):
    found = value_of(text, arithmetic="lenient")
    assert (found, type(found)) == (value, type(value))


def test_a_function_of_aep_alone_is_an_error_of_its_own():
    with pytest.raises(NotOfflineError):
        value_of("fpid_to_ecid(s)")
    with pytest.raises(EvaluationError, match="^md5 has no value for null.$"):
        value_of("md5(x)", **{"hash-null": "error"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"), (-0.0, "-0.0"), (0.001, "0.001"), (0.0009, "9.0E-4"), (9999999.0, "9999999.0"), (1e7, "1.0E7"),
        (-2.5e9, "-2.5E9"),
        (1.25e-7, "1.25E-7"), (math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (False, "false"),
        (12, "12"),
        (date(2026, 1, 31), "2026-01-31"), (Decimal("1.50"), "1.50"), (["ä", AT], '["ä", "2026-01-31T14:05:06.789Z"]'),
    ],
)  # fmt: skip
def test_a_value_as_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "null"), (True, "boolean"), (1, "whole number"), (1.5, "number"), (Decimal(1), "number"), ("", "text"),
    (AT, "date"),
     (date(2026, 1, 31), "date"), ({}, "object"), ([], "array"), (b"", "bytes")],
)  # fmt: skip
def test_the_name_of_a_type(value, name):
    assert type_name(value) == name


@pytest.mark.parametrize(
    "value", [datetime(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC), date(2026, 1, 31), "2026-01-31", "31-Jan-2026"]
)
def test_a_value_as_date(value):
    assert date_of(value, resolve()) == datetime(2026, 1, 31, tzinfo=UTC)


def test_a_date_keeps_its_zone_and_a_text_is_read_by_the_choices():
    berlin = datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=1)))
    assert date_of(berlin, resolve()).utcoffset() == timedelta(hours=1)
    assert date_of("2026-02-30", resolve({"day-of-month": "last"})) == datetime(2026, 2, 28, tzinfo=UTC)
    with pytest.raises(EvaluationError, match="^A text is padded to at most 1000000 characters.$"):
        value_of("lpad(s, 1000001, s)")
    with pytest.raises(EvaluationError, match=r"^The value cannot be computed \(OverflowError\).$"):
        value_of('dformat(-99999999999999, "yyyy")')


DATE, TIME = Field("string", "date"), Field("string", "date-time")
CONVERSIONS = [
    (Field("string"), "a", "a"), (Field("string"), 1.5, "1.5"), (Field("string"), True, "true"),
    (DATE, AT, "2026-01-31"),
    (DATE, "2026-01-31T23:30:00.000-0200", "2026-02-01"), (TIME, "2026-01-31", "2026-01-31T00:00:00Z"),
    (TIME, AT, "2026-01-31T14:05:06.789Z"),
    (Field("boolean"), "Y", True), (Field("boolean"), " off ", False), (Field("boolean"), False, False),
    (Field("integer"), "7.0", 7),
    (Field("integer"), True, 1), (Field("integer"), 2**53, 2**53), (Field("integer", minimum=1, maximum=5), 5, 5),
    (Field("number"), "1.5", 1.5),
    (Field("integer", minimum=1, maximum=5), "1", 1), (Field("number"), Decimal("1.5"), 1.5), (Field("number"), 2, 2.0),
    (Field("number"), -1e300, -1e300),
    (Field("array"), ["a", 1], ["a", 1]), (Field("array", items=Field("string")), [1, None], ["1", None]),
    (Field("map"), {1: "a"}, {"1": "a"}), (Field("map", items=Field("integer")), {"a": "1", "b": None}, {"a": 1}),
    (
        Field("object", children={"a": Field("string"), "b": DATE, "c": TIME}),
        {"a": 1, "b": "2026-01-31", "c": None, "d": 2}, {"a": "1", "b": "2026-01-31"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "converted"), CONVERSIONS)
def test_conversion(field, value, converted):
    found = converter(field, resolve())(value)
    assert (found, type(found)) == (converted, type(converted))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (Field("string"), [1], "The field takes a text, and the value is an array."),
        (Field("integer"), "  ", "An empty text is no number."),
        (Field("number"), AT, "The field takes a number, and the value is a date."),
        (Field("number"), "1e999", "'1e999' is no finite number."),
        (Field("integer", minimum=1, maximum=5), 6, "6 is outside of 1 to 5."),
        (Field("integer", minimum=1, maximum=5), 0, "0 is outside of 1 to 5."),
        (Field("integer"), 2**53 + 1, f"{2**53 + 1} is outside of -{2**53} to {2**53}."),
        (Field("integer"), -(2**53) - 1, f"-{2**53 + 1} is outside of -{2**53} to {2**53}."),
        (Field("boolean"), "maybe", "text 'maybe' is no boolean. Expected: yes, no, on, off, true or false."),
        (Field("boolean"), 1, "whole number '1' is no boolean. Expected: yes, no, on, off, true or false."),
        (Field("array"), "a", "The field takes an array, and the value is a text. Use explode(...)."),
        (Field("map"), "a", "The field takes a map, and the value is a text. Use to_map(...)."),
        (Field("object"), "a", "The field takes an object, and the value is a text. Map one of its children."),
        (DATE, 1, "whole number '1' is no date."),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_says_why(field, value, message):
    with pytest.raises(EvaluationError) as caught:
        converter(field, resolve())(value)
    assert str(caught.value) == message


def test_dates_stay_dates_if_asked():
    assert converter(DATE, resolve(), native_dates=True)(AT) == date(2026, 1, 31)
    assert converter(TIME, resolve(), native_dates=True)("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    nested = Field("object", children={"list": Field("array", items=DATE), "map": Field("map", items=TIME)})
    given = {"list": ["2026-01-31"], "map": {"a": AT}}
    assert converter(nested, resolve(), native_dates=True)(given) == {"list": [date(2026, 1, 31)], "map": {"a": AT}}


def test_the_tables_of_functions_are_built_when_their_modules_are_loaded():
    """Functions that only fill a table run at no test's time, so here they run again, with all expectations."""
    for module in (operators, implementations, evaluator):
        importlib.reload(module)
    for text, value in (*OPERATORS, *FUNCTIONS):
        found = evaluator.evaluate(text, ROW, now=lambda: AT, new_id=lambda: "new-id")
        assert (text, found, type(found)) == (text, value, type(value))
    for text, message in MESSAGES:
        with pytest.raises(EvaluationError) as caught:
            evaluator.evaluate(text, ROW)
        assert (text, str(caught.value)) == (text, message)

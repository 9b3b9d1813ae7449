"""Arithmetic, comparison and truth, as the engine has them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from choice_samples import CHOICE_SAMPLES

from aep_data_prep.choices import CHOICES, resolve
from aep_data_prep.errors import EvaluationError
from aep_data_prep.evaluate import evaluate
from aep_data_prep.values import text_of

LENIENT = {"arithmetic": "lenient"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5 / 2", 2),
        ("-5 / 2", -2),
        ("-5 % 3", -2),
        ("5.0 / 2", 2.5),
        ("9223372036854775807 + 1", 9223372036854775808),
        ("1b + 0.5b", Decimal("1.5")),
        ('"a" + "b"', "ab"),
        ('"2" + 3', "23"),
        ('"x" + 3', "x3"),
        ("true + 1", 2),
        ('"2" * 3', 6),
        ("null == null", True),
        ("null == 0", False),
        ("true == 'true'", True),
        ('1 == "1"', True),
        ('1 == "x"', False),
        ('0 == ""', True),
        ('"1.5" > 1.0', True),
        ('"b" > "a"', True),
        ("null < 1", False),
        ("null <= null", True),
    ],
)
def test_strict_engine(text, value):
    found = evaluate(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"), [('"2" + 3', 5), ("1 / 0", 0.0), ("1 % 0", 0.0), ("null + 1", 1), ("null * 2", 0), ("-x", 0)]
)
def test_lenient_engine(text, value):
    assert evaluate(text, choices=LENIENT) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 / 0", "Division by 0"),
        ("x + 1", "null.*coalesce"),
        ("x * 2", "null.*coalesce"),
        ("-x", "null.*coalesce"),
        ('"x" > 1', "no number"),
        ('"1.5" > 1', "no whole number.*1.0"),
        ("now() > 1", "no order"),
        ("{'a': 1} + 1", "no number"),
        ('min(1, "a")', "no order"),
        ('matches_regex("a", "(")', "no regular expression"),
        ('date("x")', "default date formats"),
        ('date("x", "yyyy")', "does not fit"),
        ('date("2026-02-30", "yyyy-MM-dd")', "no date"),
        ('date("x", "j")', "no letter of a date pattern"),
        ('date_part("x", now())', "no component"),
        ('sha1("x", "EBCDIC")', "no charset"),
        ('zone_date_to_zone(now(), "Mars")', "no time zone"),
        ('json_to_object("{")', "no JSON"),
        ("nvl(x, 1)", "coalesce"),
        ("uper(x)", "Did you mean upper"),
        ("substr(x)", r"Write substr\(text, start, length\)"),
        ('to_object("a", 1, "b")', "in pairs"),
        ('"a".trim()', "no method trim"),
    ],
)
def test_an_expression_without_a_value_says_why(text, says):
    with pytest.raises(EvaluationError, match=says):
        evaluate(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("iif(x == null, 1, 1 / 0)", 1),
        ("x == null ? 1 : 1 / 0", 1),
        ("decode(1, 1, 'a', 2, 1 / 0)", "a"),
        ("false && 1 / 0", False),
        ("true || 1 / 0", True),
        ("1 ?: 1 / 0", 1),
        ("1 ?? 1 / 0", 1),
    ],
)
def test_an_operand_that_decides_nothing_is_not_evaluated(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('explode("a1b22c", "([0-9])+")', ["a", "b", "c"]),
        ('explode("abc", "")', ["a", "b", "c", ""]),
        ('explode(",a,", ",")', ["", "a", ""]),
        ('explode("", ",")', [""]),
        ('explode("a,b")', ["a", "b"]),
        ('split(",a;;b,", ",;")', ["a", "b"]),
    ],
)
def test_a_text_is_split_as_in_java(text, parts):
    assert evaluate(text) == parts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (1.0, "1.0"),
        (1e10, "1.0E10"),
        (12345678.9, "1.23456789E7"),
        (0.0001, "1.0E-4"),
        (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00Z"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
    ],
)
def test_a_value_as_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize("name", sorted(CHOICES.keys() - {"transform-error"}))  # that one is the ingestion's
def test_each_choice_has_an_effect(name):
    text, *expected = CHOICE_SAMPLES[name]
    for value, result in zip(CHOICES[name].values, expected, strict=True):
        if result is EvaluationError:
            with pytest.raises(EvaluationError):
                evaluate(text, choices={name: value})
        else:
            assert evaluate(text, choices={name: value}) == result


@pytest.mark.parametrize(("given", "says"), [({"x": "y"}, "no choice 'x'"), ({"minutes": "y"}, "no value 'y'")])
def test_an_unknown_choice(given, says):
    with pytest.raises(ValueError, match=says):
        resolve(given)

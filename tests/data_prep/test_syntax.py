"""What is an expression, and where an error is."""

import pytest

from aep_data_prep.errors import ExpressionSyntaxError
from aep_data_prep.evaluate import evaluate
from aep_data_prep.syntax import Each, Literal, Path, parse


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("sys_id", ("sys_id",)),
        ("$ref", ("$ref",)),
        ("größe", ("größe",)),
        ("${First Name}", ("First Name",)),
        (r"${First\.Name}", ("First.Name",)),
        (r"address.street\.name", ("address", "street.name")),
        ("name.firstName", ("name", "firstName")),
        ("emails[0].email", ("emails", 0, "email")),
        ("emails[*].name", ("emails", Each(), "name")),
        ('map["key"]', ("map", "key")),
        ("a.size", ("a", "size")),
    ],
)
def test_a_path(text, steps):
    tree = parse(text)
    assert isinstance(tree, Path)
    assert tree.steps == steps
    assert text[tree.start : tree.end] == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a\\"b\\n"', 'a"b\n'),
        ("'it\\'s'", "it's"),
        (r'"A"', "A"),
        ("12", 12),
        ("0x1F", 31),
        ("017", 15),
        ("12L", 12),
        ("22.5", 22.5),
        ("1e3", 1000.0),
        ("true", True),
        ("null", None),
    ],
)
def test_a_literal(text, value):
    tree = parse(text)
    assert isinstance(tree, Literal)
    assert tree.value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("-2 + 3", 1),
        ("1 < 2 && 2 < 3 || false", True),
        ("not true or true", True),
        ("1 == 1 ? 'a' : 2 == 2 ? 'b' : 'c'", "a"),
        ("null ?: 'x'", "x"),
        ("0 ?? 'x'", 0),
        ("1 | 6 & 3", 3),
        ("1 << 4", 16),
        ("5 gt 4 and 4 le 4 and 1 ne 2", True),
        ("7 mod 4 + 7 div 2", 6),
        ("'abc' =^ 'a' && 'abc' =$ 'c'", True),
        ("'abc' =~ '[a-c]+'", True),
        ("2 =~ [1, 2]", True),
        ("empty [] && empty ''", True),
        ("size [1, 2]", 2),
        ("1 /* comment */ + 1 ## end", 2),
        ("{'a': 1}['a'] + {'b': 2}.b", 3),
        ("{:}", {}),
        ("null ?? 1 == 1 ? 'a' : 'b'", "a"),
        ("3 ?? 1 == 1 ? 'a' : 'b'", 3),
        ("'' ?: true ? 'x' : 'y'", "x"),
        ("null ?? null ?? 5", 5),
        ("||".join(["'b' == 'a'"] * 250), False),
        (" : ".join(f"'b' == 'a' ? {n}" for n in range(150)) + " : 7", 7),
    ],
)
def test_operators_bind_as_in_jexl(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("a = 1", 3, "cannot assign.*=="),
        ("a; b", 2, "one expression"),
        ("{1}", 3, "Sets are not supported"),
        ("f(", 3, "ends too early"),
        ("", 1, "ends too early"),
        ('"abc', 1, "not closed"),
        ("08", 1, "leading 0 means octal"),
        ("a b", 3, "missing operator"),
        ("a == b != c", 8, "!= follows ==. Compare twice"),
        ("1 + a < b < c", 11, "< follows <. Compare twice"),
        ("`x`", 1, "back-quotes"),
        ("f(a,)", 5, "Unexpected '\\)'"),
        ("var x", 5, "reserved word"),
        ("${}", 1, "field"),
        ("f(x)[*]", 1, "only follow a field"),
    ],
)
def test_an_error_has_a_position_and_a_next_step(text, column, says):
    with pytest.raises(ExpressionSyntaxError, match=says) as caught:
        parse(text)
    assert caught.value.position == column - 1
    assert str(caught.value).startswith(f"column {column}: ")


def test_the_length_is_limited():
    parse('"' + "x" * 4094 + '"')
    with pytest.raises(ExpressionSyntaxError, match="at most 4096 characters"):
        parse('"' + "x" * 4095 + '"')

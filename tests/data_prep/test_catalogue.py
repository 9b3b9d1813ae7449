"""The catalogue and the implementations have the same functions, and each example is an expression."""

import pytest

from aep_data_prep.catalogue import REPLACEMENTS, functions
from aep_data_prep.errors import NotOfflineError
from aep_data_prep.evaluate import _LAZY, evaluate
from aep_data_prep.implementations import IMPLEMENTATIONS

ROW = {"age": 20, "priority": "1", "userAgent": "x", "events": "e", "products": "p", "name": "n"}


def test_each_offline_function_is_implemented_and_no_other():
    offline = {name for name, entry in functions().items() if entry.offline}
    assert offline == IMPLEMENTATIONS.keys() | _LAZY.keys()


@pytest.mark.parametrize("name", functions())
def test_an_example_uses_its_function_and_has_a_value(name):
    entry = functions()[name]
    assert f"{name}(" in entry.example
    if entry.offline:
        assert evaluate(entry.example, ROW) is not None or name == "nullify"
    else:
        with pytest.raises(NotOfflineError):
            evaluate(entry.example, ROW)


@pytest.mark.parametrize(
    ("name", "fits", "does_not"),
    [
        ("now", [0], [1]),
        ("concat", [1, 9], [0]),
        ("substr", [3], [2, 4]),
        ("date", [1, 2, 3], [0, 4]),
        ("to_object", [2, 4], [0, 1, 3]),
        ("decode", [3, 4, 5], [2]),
        ("add_to_map", [2, 5], [1]),
    ],
)
def test_the_number_of_arguments_follows_from_the_signature(name, fits, does_not):
    entry = functions()[name]
    assert [entry.arity_error(count) for count in fits] == [None] * len(fits)
    assert all(entry.signature in str(entry.arity_error(count)) for count in does_not)


def test_a_replacement_is_for_a_function_that_does_not_exist():
    assert REPLACEMENTS.keys() & functions().keys() == set()

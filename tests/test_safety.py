"""Each guard of the engine can be taken out by ``make safety``."""

from collections import Counter

import pytest
from safety import MUTATIONS, guards, mutated


def test_each_guard_has_one_mutation_and_each_mutation_one_guard():
    assert Counter(name for name, _, _ in guards()) == Counter(dict.fromkeys(MUTATIONS, 1))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_fits_its_guard(name):
    file, source = mutated(name)
    assert file.suffix == ".py"
    assert source

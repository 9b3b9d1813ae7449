"""Mutants of the mapping language are tried in forks of one process, which must not keep what was compiled before."""

import os
import sys


def pytest_sessionstart():
    """Import the package and its tests anew for a mutant: tables are filled at import, and expressions cached."""
    if "MUTANT_UNDER_TEST" in os.environ:
        sys.setrecursionlimit(3000)  # a function that can be mutated takes more frames
        for name in [*sys.modules]:
            if name.partition(".")[0] in {"aep_data_prep", "choice_samples"} or name.startswith("test_"):
                del sys.modules[name]

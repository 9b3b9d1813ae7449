"""What the tests of the provider share: an emulator behind a connection, and what a log says."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from tasks import create_parts

from airflow_provider_aep.client import consistency


@pytest.fixture
def aep(emulator, connect, monkeypatch):
    """The emulator behind ``aep_default``; what is not there is not waited for."""
    connect(emulator)
    monkeypatch.setattr(consistency, "NOT_FOUND_WAITS", ())
    return emulator


@pytest.fixture
def impatient(monkeypatch):
    """Nothing is repeated within one look."""
    from airflow_provider_aep.client import client

    init = client._Plan.__init__

    def without_deadline(self, settings, clock, tokens, on_token, deadline):
        init(self, settings, clock, tokens, on_token, 60)
        self.deadline = 0.0

    monkeypatch.setattr(client._Plan, "__init__", without_deadline)


@pytest.fixture
def parts(aep):
    """Everything up to the flow."""
    return create_parts()


_LOGGED = re.compile(
    r"\{\S+\} (?P<old>[A-Z]+) - (?P<old_text>.+)"  # Airflow 3.0
    r"|\[(?P<level>[a-z]+) *\] (?P<text>.+?) *(?:\[airflow\S+\].*)?$"  # Airflow 3.1 and later
)


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[tuple[str, str]]]:
    """Return what was logged since the last call, as pairs of level and text."""

    def read() -> list[tuple[str, str]]:
        lines = [found for line in capsys.readouterr().out.splitlines() if (found := _LOGGED.search(line))]
        return [((f["old"] or f["level"]).lower(), f["old_text"] or f["text"]) for f in lines]

    return read

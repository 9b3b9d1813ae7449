"""Each kind, killed at each moment of its create: afterwards there is one, and it is what the task returns.

The same with real processes of a real Airflow is in ``tests/provider/test_real_crashes.py``.
"""

import pytest
from chain import KINDS, LISTS, OPERATIONS, Notes, listed, onboard, wanted

from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.call import Safety
from airflow_provider_aep.client.errors import AepAnswerLostError
from airflow_provider_aep.onboarding import kinds
from airflow_provider_aep.onboarding.attempt import Attempt
from airflow_provider_aep.onboarding.ensure import ensure
from airflow_provider_aep.onboarding.profile import ensure_identity

NONCE = "0123456789ab"
CREATES = {**OPERATIONS, "class": "POST */tenant/classes", "descriptor": "POST */tenant/descriptors"}
ALL_LISTS = {**LISTS, "class": "GET */tenant/classes", "descriptor": "GET */tenant/descriptors"}

FAULTS = {
    "before-send": None,
    "after-commit": {"do": "hang", "seconds": 0, "commit": "now"},
    "late-commit": {"do": "answer", "status": 504, "commit": 40},
    "after-answer": None,
    "after-note": None,
}
"""What AEP does at each moment at which a try may die."""


class Killed(BaseException):
    """As a SIGKILL would: nothing of the engine sees it."""


class Dying(Notes):
    def set(self, key, value):
        super().set(key, value)
        if "id" in value and self.pop("die", False):
            raise Killed


def dying(client, moment):
    """A client whose first create is the end of its process at a moment."""
    send = client.send

    def until_death(call):
        if call.safety is not Safety.CREATE or call.method != "POST":
            return send(call)
        if moment == "before-send":
            raise Killed
        if moment in {"after-commit", "late-commit"}:
            with pytest.raises(AepAnswerLostError):
                send(call)
            raise Killed
        made = send(call)
        if moment == "after-answer":
            raise Killed
        return made

    client.send = until_death
    return lambda: setattr(client, "send", send)


@pytest.fixture
def subject(together):
    """``subject(name)`` gives what makes sure of one, and what lists all there are."""

    def of(name):
        ids = {}
        onboard("X", lambda kind, body: ensure(together, kind, body).result)
        for part, kind in KINDS.items():
            if part == name:
                break
            ids[part] = ensure(together, kind, wanted(part, "Y", ids)).result
        if name in KINDS:
            body = wanted(name, "Y", ids)
            return (
                lambda attempt: ensure(together, KINDS[name], body, attempt).id,
                lambda: listed(together, name, body),
            )
        if name == "class":
            fields = {"email": {"type": "string"}}
            body = {"title": "Y class", "description": "", "behavior": schema_registry.AD_HOC, "fields": fields}
            return (
                lambda attempt: ensure(together, kinds.AD_HOC_CLASS, body, attempt).id,
                lambda: [c.id for c in together.items(schema_registry.list_classes("Y class"))],
            )
        schema = ensure(together, kinds.SCHEMA, {**wanted("schema", "X", {})}).id
        return (
            lambda attempt: ensure_identity(together, schema, "person.name.firstName", "CRMID", False, attempt).id,
            lambda: [d.id for d in together.items(schema_registry.list_descriptors(schema))],
        )

    return of


@pytest.mark.parametrize(
    ("moment", "noted"),
    [(moment, noted) for moment in FAULTS for noted in (True, False) if noted or moment != "after-note"],
)
@pytest.mark.parametrize("name", CREATES)
def test_a_try_that_is_killed_leaves_one(emulator, together, subject, name, moment, noted):
    """Noted: Airflow 3.3 and later keeps what a try wrote down; before, nothing is known of it."""
    make, there = subject(name)
    if fault := FAULTS[moment]:
        emulator.fault(CREATES[name], calls=[1], **fault)
    memory = Dying() if noted else None
    if moment == "after-note":
        memory["die"] = True
    alive = dying(together, moment)
    with pytest.raises(Killed):
        make(Attempt(NONCE, memory=memory))
    alive()
    emulator.fault(ALL_LISTS[name], "lag", seconds=15)
    emulator.advance(3)  # Airflow notices, and tries again
    id_ = make(Attempt(NONCE, tried_before=True, memory=memory))
    emulator.world.faults.clear()
    emulator.advance(60)
    assert there() == [id_]
    assert make(Attempt(NONCE, tried_before=True, memory=memory)) == id_


@pytest.mark.parametrize("times", [2, 5])
@pytest.mark.parametrize("noted", [True, False], ids=["noted", "not-noted"])
@pytest.mark.parametrize("name", CREATES)
def test_tries_that_fail_one_after_another_leave_one(emulator, together, subject, name, noted, times):
    """Each with an answer that is lost, committed or not: as Airflow's retries would go on."""
    make, there = subject(name)
    for n in range(2 * times):  # two creates of each try
        commit = "now" if n % 4 == 1 else "never"
        emulator.fault(CREATES[name], "reset", commit=commit, calls=[n + 1])
    memory = Dying() if noted else None
    for n in range(times + 1):
        try:
            id_ = make(Attempt(NONCE, tried_before=n > 0, memory=memory))
            break
        except AepAnswerLostError:
            continue
    emulator.world.faults.clear()
    emulator.advance(60)
    assert there() == [id_]

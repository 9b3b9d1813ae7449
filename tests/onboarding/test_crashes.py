"""Kill a try at each moment of a create: afterwards one object exists, and the task returns it.

``tests/system/test_exactly_once.py`` does the same with processes of a real Airflow.
"""

import pytest
from chain import LISTS, OPERATIONS, RESOURCE_TYPES, StoredState, desired, listed_ids, onboard

from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.call import Safety
from airflow_provider_aep.client.errors import AepLostResponseError
from airflow_provider_aep.onboarding.lifecycle.profile import create_identity_descriptor
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.resources import AD_HOC_CLASS, SCHEMA
from airflow_provider_aep.onboarding.resources.ad_hoc_class import AdHocClassDesired

NONCE = "0123456789ab"
CREATES = {**OPERATIONS, "ad hoc class": "POST */tenant/classes", "descriptor": "POST */tenant/descriptors"}
ALL_LISTS = {**LISTS, "ad hoc class": "GET */tenant/classes", "descriptor": "GET */tenant/descriptors"}

FAULTS = {
    "before-send": None,
    "after-commit": {"do": "hang", "seconds": 0, "commit": "now"},
    "late-commit": {"do": "answer", "status": 504, "commit": 40},
    "after-response": None,
    "after-store": None,
}
"""What AEP does at each moment at which a try may be killed."""


class Killed(BaseException):
    """A SIGKILL: no code of the engine handles it."""


class KillingState(StoredState):
    """A task state store whose process is killed once it has stored an id, if asked for."""

    kill_after_id = False

    def set(self, key, value):
        super().set(key, value)
        if "id" in value and self.kill_after_id:
            self.kill_after_id = False
            raise Killed


def kill_at(client, moment):
    """Let a client's first create be killed at a moment; return what undoes that."""
    send = client.send

    def killed(call):
        if call.safety is not Safety.CREATE or call.method != "POST":
            return send(call)
        if moment == "before-send":
            raise Killed
        if moment in {"after-commit", "late-commit"}:
            with pytest.raises(AepLostResponseError):
                send(call)
            raise Killed
        created = send(call)
        if moment == "after-response":
            raise Killed
        return created

    client.send = killed
    return lambda: setattr(client, "send", send)


@pytest.fixture
def subject(virtual):
    """``subject(name)`` returns what reconciles one object, and what lists the ids of all of its name."""

    def of(name):
        ids = {}
        onboard("X", lambda resource_type, state: reconcile(virtual, resource_type, state).result)
        for part, resource_type in RESOURCE_TYPES.items():
            if part == name:
                break
            ids[part] = reconcile(virtual, resource_type, desired(part, "Y", ids)).result
        if name in RESOURCE_TYPES:
            state = desired(name, "Y", ids)
            return (
                lambda attempt: reconcile(virtual, RESOURCE_TYPES[name], state, attempt).id,
                lambda: listed_ids(virtual, name, state),
            )
        if name == "ad hoc class":
            state = AdHocClassDesired(name="Y ad hoc class", description="", properties={"email": {"type": "string"}})
            return (
                lambda attempt: reconcile(virtual, AD_HOC_CLASS, state, attempt).id,
                lambda: [c.id for c in virtual.items(schema_registry.find("classes", "Y ad hoc class"))],
            )
        schema, field = reconcile(virtual, SCHEMA, desired("schema", "X", {})).id, "person.name.firstName"
        return (
            lambda attempt: create_identity_descriptor(virtual, schema, field, "Phone", False, attempt).id,
            lambda: [d.id for d in virtual.items(schema_registry.list_descriptors(schema))],
        )

    return of


@pytest.mark.parametrize(
    ("moment", "has_state"),
    [(moment, has_state) for moment in FAULTS for has_state in (True, False) if has_state or moment != "after-store"],
)
@pytest.mark.parametrize("name", CREATES)
def test_a_killed_try_leaves_one_object(emulator, virtual, subject, name, moment, has_state):
    """Airflow 3.3 and later keep task state; earlier releases know nothing of an earlier try."""
    make, existing_ids = subject(name)
    if fault := FAULTS[moment]:
        emulator.fault(CREATES[name], calls=[1], **fault)
    store = KillingState() if has_state else None
    if moment == "after-store":
        store.kill_after_id = True
    revive = kill_at(virtual, moment)
    with pytest.raises(Killed):
        make(Attempt(NONCE, store=store))
    revive()
    emulator.fault(ALL_LISTS[name], "lag", seconds=15)
    emulator.advance(3)  # Airflow notices, and tries again
    id_ = make(Attempt(NONCE, tried_before=True, store=store))
    emulator.world.faults.clear()
    emulator.advance(60)
    assert existing_ids() == [id_]
    assert make(Attempt(NONCE, tried_before=True, store=store)) == id_


@pytest.mark.parametrize("times", [2, 5])
@pytest.mark.parametrize("has_state", [True, False], ids=["state", "no-state"])
@pytest.mark.parametrize("name", CREATES)
def test_successive_failed_tries_leave_one_object(emulator, virtual, subject, name, has_state, times):
    """Each loses its responses, whether the creates are executed or not, as in Airflow's retries."""
    make, existing_ids = subject(name)
    for n in range(2 * times):  # each try sends two creates
        commit = "now" if n % 4 == 1 else "never"
        emulator.fault(CREATES[name], "reset", commit=commit, calls=[n + 1])
    store = StoredState() if has_state else None
    for n in range(times + 1):
        try:
            id_ = make(Attempt(NONCE, tried_before=n > 0, store=store))
            break
        except AepLostResponseError:
            continue
    emulator.world.faults.clear()
    emulator.advance(60)
    assert existing_ids() == [id_]

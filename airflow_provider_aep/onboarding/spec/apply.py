"""Apply an onboarding: create and change the objects of a file in a sandbox, once each."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_aep.attempt import CREATION_GRACE_PERIOD, Attempt, task_nonce
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConflictError
from airflow_provider_aep.onboarding.lifecycle.profile import create_identity_descriptor, enable_dataset, enable_schema
from airflow_provider_aep.onboarding.reconcile.act import Outcome, act
from airflow_provider_aep.onboarding.reconcile.decide import decide
from airflow_provider_aep.onboarding.spec.chain import Chain, Credentials
from airflow_provider_aep.onboarding.spec.loader import Loaded
from airflow_provider_aep.onboarding.spec.plan import make_plan, planned_action

Report = Callable[[str, Outcome], None]
"""Takes the kind of an object and its outcome, as soon as it is known."""


def apply(
    client: AepClient,
    loaded: Loaded,
    credentials: Credentials,
    report: Report = lambda *_: None,
    *,
    grace_period: float = CREATION_GRACE_PERIOD,
    wait: bool = True,
) -> int:
    """Create and change the objects of an onboarding, and return the number of objects that were written.

    An apply that was interrupted is run again. It may have created objects that AEP does not list yet, and no state of
    an apply is kept. So the function waits once before it creates anything, and then lists the objects once more.

    :param report: called with each outcome
    :param grace_period: read lag of AEP's lists after a create, in seconds
    :param wait: whether to wait; ``False`` if the caller has done so
    :raises AepConflictError: a person must decide first; nothing is written
    """
    plan = make_plan(client, loaded, credentials)
    if reasons := [f"The {a.kind} {a.name!r}: {a.reason}" for a in plan.actions if a.reason]:
        raise AepConflictError("; ".join(reasons))
    if wait and any(a.action == "create" for a in plan.actions):
        # guard: apply: wait for an earlier apply
        client.clock.sleep(grace_period)
    chain, written = Chain(client, loaded.spec, credentials), 0

    def done(kind: str, outcome: Outcome) -> None:
        nonlocal written
        written += outcome.action not in {"unchanged", "adopted"}
        report(kind, outcome)

    for step in chain.steps():
        nonce = task_nonce("apply", loaded.spec.onboarding, step.kind)
        attempt = Attempt(nonce, creation_grace_period=grace_period)
        decision = decide(client, step.resource_type, step.make(), attempt, chain.terms(step.kind))
        planned = planned_action(decision, step.resource_type.label, chain.name(step.kind))
        if planned.reason:
            raise AepConflictError(f"The {planned.kind} {planned.name!r} ({planned.id}): {planned.reason}")
        outcome = act(client, decision)
        chain.results[step.kind] = outcome.result
        done(step.resource_type.label, outcome)
        if step.kind == "schema":
            for identity in loaded.spec.identities:
                schema_id, path = chain.results["schema"], identity.path
                made = create_identity_descriptor(client, schema_id, path, identity.namespace, identity.primary)
                done("identity descriptor", made)
            if loaded.spec.profile.enabled:
                done("profile", enable_schema(client, chain.results["schema"]))
        if step.kind == "dataset" and loaded.spec.profile.enabled:
            done("profile", enable_dataset(client, chain.results["dataset"], loaded.spec.profile.upsert))
    return written

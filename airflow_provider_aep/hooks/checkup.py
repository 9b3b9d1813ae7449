"""The connection test: one sentence for each thing that can be wrong, in our own words.

Whoever may test connections reads it, and a host could answer anything. So of an answer only what has the form of a
code, a request id or a sandbox's name is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_provider_aep.client import catalog, data_prep, flow_service, sandboxes, schema_registry
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import (
    AepAnswerError,
    AepConfigurationError,
    AepCredentialsError,
    AepError,
    AepPermissionError,
    AepThrottledError,
    AepUnreachableError,
)
from airflow_provider_aep.client.settings import AepSettings

DEADLINE = 8.0
"""Seconds of silence in each of six requests, and for its retries; after 60 in all Airflow ends the test."""

_NOBODY = "airflow-provider-aep connection test"
"""No object is called so: the lists come back empty, and tell whether they may be read."""

# What each onboarding needs, and the permission that gives it (Adobe's "Access control overview").
_SERVICES: tuple[tuple[str, str, Callable[[], Call[Any]]], ...] = (
    ("Flow Service", "View Sources and Manage Sources", lambda: flow_service.list_flows({"name": _NOBODY})),
    ("Schema Registry", "View Schemas and Manage Schemas", lambda: schema_registry.list_schemas(_NOBODY)),
    ("Catalog", "View Datasets and Manage Datasets", lambda: catalog.list_datasets(_NOBODY)),
    ("Data Prep", "Manage Sources and View Schemas", lambda: data_prep.list_mapping_sets(_NOBODY)),
)

_ORGANIZATION = frozenset({"403025", "403027", "2000-401"})
_WORD = re.compile(r"[\w.-]{1,60}")
_CONSOLE = "of the credential in the Adobe Developer Console"


def check(settings: AepSettings, on_token: Callable[[str], Any]) -> tuple[bool, str]:
    """Ask for a token, the sandboxes, and one empty list of each service; changes nothing.

    :return: whether all is well, and a sentence for a person
    """
    with AepClient(settings, on_token=on_token, deadline=DEADLINE) as aep:
        try:
            states = {s.name: s.state for s in aep.send(sandboxes.list_sandboxes())}
        except AepError as e:
            return False, sentence(e, settings, "Sandbox management", "the sandbox")
        if told := _sandbox(settings.sandbox, states):
            return False, told
        for service, permission, call in _SERVICES:
            try:
                aep.send(call())
            except AepError as e:
                return False, sentence(e, settings, service, permission)
    return True, f"Connected to sandbox {settings.sandbox} of {settings.org_id}: all services may be used"


def _sandbox(name: str, states: dict[str, str]) -> str | None:
    if name not in states:
        known = ", ".join(sorted(filter(_WORD.fullmatch, states)))
        return (
            f"There is no sandbox {name!r}. Next step: Choose one of: {known or 'none that this credential may use'}."
        )
    if states[name] != "active":
        state = states[name] if _WORD.fullmatch(states[name]) else "not active"
        return f"The sandbox {name!r} is {state}. Next step: Wait until it is active."
    return None


def sentence(e: AepError, settings: AepSettings, service: str, permission: str) -> str:
    """What is wrong, where, and the next step, in our own words."""
    what, step = _said(e, settings, service, permission)
    where = replace(e.where, code=_known(e.where.code), request_id=_known(e.where.request_id))
    return f"{what} [{where}]. Next step: {step}" if where.operation else f"{what}. Next step: {step}"


def _known(word: str) -> str:
    return word if _WORD.fullmatch(word) else ""


def _said(e: AepError, settings: AepSettings, service: str, permission: str) -> tuple[str, str]:
    if isinstance(e, AepCredentialsError) and e.where.operation == "POST token":
        return _refused_by_ims(e, settings)
    if e.code in _ORGANIZATION:
        return (
            f"The credential does not belong to the organization {settings.org_id}, or has no product profile there",
            f"Copy the organization id {_CONSOLE} into org_id.",
        )
    if isinstance(e, AepCredentialsError):
        return "AEP does not take the token", f"Compare client id, scopes and ims_url with those {_CONSOLE}."
    if isinstance(e, AepPermissionError):
        return (
            f"The credential may not use {service}",
            f"Have an administrator add it to a role with {permission} (AEP, Permissions).",
        )
    if isinstance(e, AepUnreachableError | AepAnswerError):  # in our own words already
        return e.message, e.next_step
    if isinstance(e, AepConfigurationError):  # 2100-404 and its kind
        return f"{service} does not know the sandbox {settings.sandbox!r}", "Check sandbox."
    if isinstance(e, AepThrottledError):
        return f"{service} has too many requests for now", "Test again in a minute."
    if e.retryable:
        return f"{service} gave no answer that can be used", "Test again later; check network and proxy if it stays so."
    return f"{service} refused to list what there is", "Compare the connection with the table in the documentation."


def _refused_by_ims(e: AepError, settings: AepSettings) -> tuple[str, str]:
    if e.code == "invalid_scope":
        return f"Adobe IMS refuses the scopes {settings.scopes!r}", f"Copy the scopes {_CONSOLE} into scopes."
    if e.code == "invalid_client" and "client_id" in e.message:
        return f"Adobe IMS does not know the client id {settings.client_id!r}", f"Copy that {_CONSOLE} into login."
    if e.code == "invalid_client":
        return "Adobe IMS refuses the client secret", f"Copy the secret {_CONSOLE} into password."
    return "Adobe IMS refuses the credential", f"Compare login, password and scopes with those {_CONSOLE}."

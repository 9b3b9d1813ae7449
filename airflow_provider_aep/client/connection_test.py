"""The connection test of Airflow: checks credential, sandbox and permissions, and describes the first problem.

Airflow shows the description to every user who may test connections, and the host may return any text. So the
description quotes only codes, request ids and sandbox names of the expected form.
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
    AepConfigurationError,
    AepCredentialsError,
    AepError,
    AepPermissionError,
    AepResponseError,
    AepThrottledError,
    AepUnreachableError,
)
from airflow_provider_aep.client.retries import CONNECTION_TEST_DEADLINE
from airflow_provider_aep.client.settings import AepSettings

_UNUSED_NAME = "airflow-provider-aep connection test"
"""No object has this name. So the lists are empty, and only the permission to read them decides."""

# The services of every onboarding, and the permissions that they need (Adobe's "Access control overview").
_SERVICES: tuple[tuple[str, str, Callable[[], Call[Any]]], ...] = (
    ("Flow Service", "View Sources and Manage Sources", lambda: flow_service.list_flows({"name": _UNUSED_NAME})),
    ("Schema Registry", "View Schemas and Manage Schemas", lambda: schema_registry.find("schemas", _UNUSED_NAME)),
    ("Catalog", "View Datasets and Manage Datasets", lambda: catalog.list_datasets(_UNUSED_NAME)),
    ("Data Prep", "Manage Sources and View Schemas", lambda: data_prep.list_mapping_sets(_UNUSED_NAME)),
)

_ORGANIZATION = frozenset({"403025", "403027", "2000-401"})
_WORD = re.compile(r"[\w.-]{1,60}")
_CONSOLE = "of the credential in the Adobe Developer Console"


def check(settings: AepSettings, on_token: Callable[[str], Any]) -> tuple[bool, str]:
    """Request a token, the sandboxes and an empty list of each service. Nothing is written.

    :param on_token: called with the new token, so that the caller can mask it in logs
    :return: whether all requests succeed, and a sentence for the user
    """
    with AepClient(settings, on_token=on_token, deadline=CONNECTION_TEST_DEADLINE) as aep:
        try:
            states = {s.name: s.state for s in aep.send(sandboxes.list_sandboxes())}
        except AepError as e:
            return False, describe(e, settings, "Sandbox management", "the sandbox")
        if problem := _sandbox_problem(settings.sandbox, states):
            return False, problem
        for service, permission, call in _SERVICES:
            try:
                aep.send(call())
            except AepError as e:
                return False, describe(e, settings, service, permission)
    return True, f"Connected to sandbox {settings.sandbox} of {settings.org_id}: the credential can use all services"


def _sandbox_problem(name: str, states: dict[str, str]) -> str | None:
    if name not in states:
        names = ", ".join(sorted(filter(_WORD.fullmatch, states)))
        step = f"Set sandbox to one of: {names}." if names else "Ask an administrator to give the credential a sandbox."
        return f"The credential has no access to a sandbox {name!r}. Next step: {step}"
    if states[name] != "active":
        state = states[name] if _WORD.fullmatch(states[name]) else "not active"
        return f"The sandbox {name!r} is {state}. Next step: Wait until it is active."
    return None


def describe(e: AepError, settings: AepSettings, service: str, permission: str) -> str:
    """Return the problem, its context and the next step, without free text of the response.

    :param service: the service that the request was sent to
    :param permission: the permissions that the service needs
    """
    problem, step = _problem_and_step(e, settings, service, permission)
    where = replace(e.where, code=_safe_word(e.where.code), request_id=_safe_word(e.where.request_id))
    return f"{problem} [{where}]. Next step: {step}" if where.operation else f"{problem}. Next step: {step}"


def _safe_word(word: str) -> str:
    return word if _WORD.fullmatch(word) else ""


def _problem_and_step(e: AepError, settings: AepSettings, service: str, permission: str) -> tuple[str, str]:
    if isinstance(e, AepCredentialsError) and e.where.operation == "POST token":
        return _ims_problem_and_step(e, settings)
    if e.code in _ORGANIZATION:
        return (
            f"The credential does not belong to the organization {settings.org_id}, or has no product profile there",
            f"Set org_id to the organization id {_CONSOLE}.",
        )
    if isinstance(e, AepCredentialsError):
        return "AEP rejects the token", f"Compare client id, scopes and ims_url with those {_CONSOLE}."
    if isinstance(e, AepPermissionError):
        return (
            f"The credential has no permission to use {service}",
            f"Ask an administrator to add it to a role with {permission} (AEP, Permissions).",
        )
    if isinstance(e, AepUnreachableError | AepResponseError):  # their messages quote no response
        return e.message, e.next_step
    if isinstance(e, AepConfigurationError):  # the codes 2100-404, 2101-404, 2103-404 and 2105-400
        return (
            f"{service} does not find the sandbox {settings.sandbox!r}",
            "Set sandbox to a sandbox of the organization.",
        )
    if isinstance(e, AepThrottledError):
        return f"{service} throttles requests", "Test the connection again in a minute."
    if e.retryable:
        return (
            f"{service} is not available",
            "Test the connection again later. Check the network and the proxy if the problem persists.",
        )
    return (
        f"{service} rejected the request for an empty list",
        "Compare the connection with the table of its fields in the documentation.",
    )


def _ims_problem_and_step(e: AepError, settings: AepSettings) -> tuple[str, str]:
    if e.code == "invalid_scope":
        return f"Adobe IMS rejects the scopes {settings.scopes!r}", f"Set scopes to the scopes {_CONSOLE}."
    if e.code == "invalid_client" and "client_id" in e.message:
        return (
            f"Adobe IMS does not find the client id {settings.client_id!r}",
            f"Set login to the client id {_CONSOLE}.",
        )
    if e.code == "invalid_client":
        return "Adobe IMS rejects the client secret", f"Set password to the client secret {_CONSOLE}."
    return "Adobe IMS rejects the credential", f"Compare login, password and scopes with those {_CONSOLE}."

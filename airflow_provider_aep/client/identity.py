"""Endpoints of Identity Service: identity namespaces. Source: Adobe's OpenAPI file ``identity-service``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_aep.client.call import Call, Page, Response, Safety
from airflow_provider_aep.client.models import IdentityNamespace

_PATH = "/data/core/idnamespace/identities"


def list_namespaces() -> Call[Page[IdentityNamespace]]:
    """Return the call that lists all namespaces: Adobe's, and those of the organization."""

    def read(answer: Response) -> Page[IdentityNamespace]:
        return Page([IdentityNamespace.model_validate(item) for item in answer.body])

    return Call("GET namespaces", "GET", _PATH, read, Safety.READ)


def get_namespace(id_: str) -> Call[IdentityNamespace]:
    """Return the call that reads a namespace.

    :param id_: the number of the namespace
    """
    return Call("GET namespaces", "GET", f"{_PATH}/{id_}", _read, Safety.READ)


def create_namespace(body: Mapping[str, Any]) -> Call[IdentityNamespace]:
    """Return the call that creates a namespace. AEP never deletes one."""
    return Call("POST namespaces", "POST", _PATH, _read, Safety.CREATE, body=dict(body))


def put_namespace(id_: str, body: Mapping[str, Any]) -> Call[IdentityNamespace]:
    """Return the call that replaces the name and the description of a namespace."""
    return Call("PUT namespaces", "PUT", f"{_PATH}/{id_}", _read, Safety.IDEMPOTENT, body=dict(body))


def _read(answer: Response) -> IdentityNamespace:
    body = answer.body[0] if isinstance(answer.body, list) else answer.body  # the OpenAPI file shows a list for PUT
    return IdentityNamespace.model_validate(body)

"""Checks a source's credentials against the connection spec before they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import ConnectionSpec


def checked_auth(
    spec: ConnectionSpec, spec_name: str, params: Mapping[str, Any], *, login: str, fields: Mapping[str, str]
) -> dict[str, Any]:
    """The ``auth`` of a base connection.

    :param login: the Airflow connection that the parameters come from
    :param fields: parameter -> its field
    :raises AepConfigurationError: naming the parameters that do not fit, never their values
    """
    known = {a.name: a.spec for a in spec.authSpec}
    if spec_name not in known:
        raise AepConfigurationError(
            f"The connection spec {spec.name or spec.id} has no auth spec {spec_name!r}",
            next_step=f"Choose one of: {', '.join(sorted(known)) or 'none'}.",
        )
    schema = known[spec_name]
    unknown = sorted(set(params) - set(schema.get("properties", params)))
    problems = [f"{name} is not a parameter" for name in unknown]
    for error in jsonschema.Draft7Validator(schema).iter_errors(dict(params)):
        if error.validator == "required":
            missing = [n for n in error.validator_value if n not in params]
            said = (f"{n} is missing ({fields.get(n, 'no field')})" for n in missing)
            problems += [text for text in said if text not in problems]
        else:
            problems.append(f"{'.'.join(map(str, error.path)) or 'params'} does not satisfy {error.validator!r}")
    if problems:
        raise AepConfigurationError(
            f"The parameters of {spec_name!r} do not fit: {'; '.join(problems)}",
            next_step=f"Correct the Airflow connection {login!r}, or auth_params.",
        )
    return {"specName": spec_name, "params": dict(params)}

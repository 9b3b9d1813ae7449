"""Validation of a source's credentials against the JSON Schema of its connection spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import ConnectionSpec


def validate_auth(
    spec: ConnectionSpec, spec_name: str, params: Mapping[str, Any], *, login: str, fields: Mapping[str, str]
) -> dict[str, Any]:
    """Return the validated ``auth`` of a base connection.

    :param spec: the connection spec
    :param spec_name: name of the auth spec
    :param params: values of the parameters
    :param login: id of the Airflow connection that contains the values
    :param fields: field of the Airflow connection, by parameter
    :raises AepConfigurationError: a parameter is invalid; the message names parameters, but no values
    """
    schemas = {a.name: a.spec for a in spec.authSpec}
    if spec_name not in schemas:
        raise AepConfigurationError(
            f"The connection spec {spec.name or spec.id} has no auth spec {spec_name!r}",
            next_step=f"Set auth_spec to one of: {', '.join(sorted(schemas))}."
            if schemas
            else "Set connection_spec_id to a connection spec that has auth specs.",
        )
    schema = schemas[spec_name]
    unknown = sorted(set(params) - set(schema.get("properties", params)))
    problems = [f"{name} is not a parameter" for name in unknown]
    for error in jsonschema.Draft7Validator(schema).iter_errors(dict(params)):
        if error.validator == "required":
            missing = [n for n in error.validator_value if n not in params]
            missing_texts = (f"{n} is missing ({fields.get(n, 'no field')})" for n in missing)
            problems += [text for text in missing_texts if text not in problems]
        else:
            problems.append(f"{'.'.join(map(str, error.path)) or 'params'} does not satisfy {error.validator!r}")
    if problems:
        raise AepConfigurationError(
            f"The parameters of the auth spec {spec_name!r} are invalid: {'; '.join(problems)}",
            next_step=f"Correct the Airflow connection {login!r}, or auth_params.",
        )
    return {"specName": spec_name, "params": dict(params)}

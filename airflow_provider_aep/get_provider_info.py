"""Metadata of the provider for Airflow: hooks, operators, connection type and configuration options.

Airflow calls it while it reads its own configuration, so this module imports nothing of Airflow.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in the form of Airflow's ``provider_info.schema.json``."""
    integration = "Adobe Experience Platform"
    return {
        "package-name": "airflow-provider-aep",
        "name": "Adobe Experience Platform",
        "description": "Onboard sources into Adobe Experience Platform and watch their flow runs.",
        "integrations": [
            {
                "integration-name": integration,
                "external-doc-url": "https://experienceleague.adobe.com/docs/experience-platform/sources/home.html",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {
                "integration-name": integration,
                "python-modules": ["airflow_provider_aep.hooks.aep", "airflow_provider_aep.hooks.http"],
            }
        ],
        "operators": [
            {
                "integration-name": integration,
                "python-modules": [
                    "airflow_provider_aep.operators.source",
                    "airflow_provider_aep.operators.target",
                    "airflow_provider_aep.operators.flow",
                    "airflow_provider_aep.operators.control",
                    "airflow_provider_aep.operators.run",
                    "airflow_provider_aep.operators.onboarding",
                    "airflow_provider_aep.operators.profile",
                    "airflow_provider_aep.operators.teardown",
                    "airflow_provider_aep.operators.http",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": integration,
                "python-modules": [
                    "airflow_provider_aep.sensors.flow_run",
                    "airflow_provider_aep.sensors.flow_health",
                    "airflow_provider_aep.sensors.batch",
                    "airflow_provider_aep.sensors.http",
                ],
            }
        ],
        "cli": ["airflow_provider_aep.cli.definitions.airflow_commands"],
        "triggers": [
            {
                "integration-name": integration,
                "python-modules": ["airflow_provider_aep.triggers.flow_run", "airflow_provider_aep.triggers.dataset"],
            }
        ],
        "asset-uris": [
            {
                "schemes": ["aep"],
                "handler": "airflow_provider_aep.assets.sanitize_uri",
                "factory": "airflow_provider_aep.assets.create_asset",
                "to_openlineage_converter": "airflow_provider_aep.assets.convert_asset_to_openlineage",
            }
        ],
        "extra-links": ["airflow_provider_aep.links.AepLink"],
        "connection-types": [
            {
                "connection-type": "aep",
                "hook-class-name": "airflow_provider_aep.hooks.aep.AepHook",
                "hook-name": "Adobe Experience Platform",
                "ui-field-behaviour": {
                    "hidden-fields": ["port", "schema", "extra"],
                    "relabeling": {"login": "Client ID", "password": "Client secret", "host": "Platform URL"},
                    "placeholders": {
                        "host": "blank for https://platform.adobe.io",
                        "login": "from the Developer Console",
                    },
                },
                "conn-fields": {
                    "org_id": {
                        "label": "Organization ID",
                        "description": "IMS organization, of the form XXXXXXXX@AdobeOrg. Required.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "sandbox": {
                        "label": "Sandbox",
                        "description": "Lower-case sandbox name. Required: it has no default.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "scopes": {
                        "label": "Scopes",
                        "description": "Comma-separated, as the Developer Console shows them; blank for the default.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "ims_url": {
                        "label": "IMS URL",
                        "description": "Blank for https://ims-na1.adobelogin.com",
                        "schema": {"type": ["string", "null"]},
                    },
                    "ui_url": {
                        "label": "Experience Platform UI",
                        "description": "Blank for https://experience.adobe.com; used in links only",
                        "schema": {"type": ["string", "null"]},
                    },
                },
            }
        ],
        "config": {
            "aep": {
                "description": "Settings of the Adobe Experience Platform provider, for administrators.",
                "options": {
                    "allowed_hosts": {
                        "description": (
                            "Comma-separated hosts that AEP connections may use besides *.adobe.io, *.adobelogin.com "
                            "and loopback. Each is host or host:port; http://host:port permits plain HTTP."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "http://aep-emulator:8787",
                        "default": "",
                    },
                    "creation_grace_period": {
                        "description": (
                            "Seconds that a task waits after a create with a lost response, or after an earlier try. "
                            "If AEP's lists do not show the object then, AEP did not create it."
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "120",
                        "default": "60.0",
                    },
                    "requests_per_second": {
                        "description": (
                            "Polling requests per second that all deferred waits of one triggerer send for one "
                            "organization and sandbox. AEP publishes no limit."
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "5",
                        "default": "10.0",
                    },
                    "allow_production_teardown": {
                        "description": "Whether operators may also delete objects in production sandboxes.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    },
                },
            }
        },
    }

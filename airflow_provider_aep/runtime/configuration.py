"""Options of section ``[aep]`` in Airflow's configuration."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import conf

from airflow_provider_aep.attempt import CREATION_GRACE_PERIOD

REQUESTS_PER_SECOND = 10.0
"""Default request rate of all deferred waits for one organization and sandbox. AEP publishes no limit."""


def creation_grace_period() -> float:
    """Return the creation grace period: the seconds for which AEP's lists may not show a created object."""
    return float(conf.getfloat("aep", "creation_grace_period", fallback=CREATION_GRACE_PERIOD))


def may_delete_in_production() -> bool:
    """Return whether operators may delete objects in production sandboxes."""
    return bool(conf.getboolean("aep", "allow_production_teardown", fallback=False))


def requests_per_second() -> float:
    """Return the request rate of a triggerer's deferred waits for one organization and sandbox; at least 0.1."""
    return max(float(conf.getfloat("aep", "requests_per_second", fallback=REQUESTS_PER_SECOND)), 0.1)


def allowed_hosts() -> list[str]:
    """Return the hosts that may receive credentials, in addition to Adobe's and loopback hosts."""
    return (conf.get("aep", "allowed_hosts", fallback="") or "").split(",")

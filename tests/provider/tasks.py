"""Tasks as Airflow runs them, without Airflow around them."""

import pytest

from airflow_provider_aep.exceptions import AepPermanentError
from airflow_provider_aep.onboarding.names import Names
from airflow_provider_aep.operators.flow import AepCreateFlowOperator

NAMES = Names("X")
MAPPINGS = {"sys_id": "_id", "email": "personalEmail.address"}


def run(operator, **arguments):
    return operator(task_id="t", **arguments).execute({})


def flow(parts, **changes):
    wired = {k: parts[k] for k in ("source_connection_id", "target_connection_id", "mapping_set", "flow_spec")}
    return run(AepCreateFlowOperator, **{"name": NAMES.flow, "columns": parts["columns"], **wired, **changes})


def refused(aep, says, operator, **arguments):
    """The task fails at once with one sentence, and nothing was written."""
    before = [w for w in aep.writes() if not w.endswith("validate")]
    with pytest.raises(AepPermanentError, match=says) as caught:
        run(operator, **arguments)
    assert [w for w in aep.writes() if not w.endswith("validate")] == before
    assert "Next step:" in str(caught.value)
    return str(caught.value)

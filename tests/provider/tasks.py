"""Tasks as Airflow runs them, without Airflow around them."""

import pytest

from airflow_provider_aep.exceptions import AepPermanentError
from airflow_provider_aep.naming import Names
from airflow_provider_aep.operators.flow import (
    AepCreateFlowOperator,
    AepCreateMappingSetOperator,
    AepGetFlowSpecOperator,
)
from airflow_provider_aep.operators.source import (
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
    AepExploreOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)

NAMES = Names("X")
MAPPINGS = {"_id": "sys_id", "personalEmail.address": "email"}


def run(operator, **arguments):
    return operator(task_id="t", **arguments).execute({})


def create_parts():
    """Create everything up to the flow. Return the arguments of a flow, and the ids of the rest."""
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base)
    columns = run(AepExploreOperator, base_connection_id=base, table="customer_contact")
    table = {"base_connection_id": base, "table": "customer_contact", "columns": columns}
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    dataset = run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=schema)
    mapping = {"schema_id": schema, "mappings": MAPPINGS, "columns": columns}
    return {
        "base": base,
        "columns": columns,
        "schema": schema,
        "dataset": dataset,
        "source_connection_id": run(AepCreateSourceConnectionOperator, name=NAMES.source, **table),
        "target_connection_id": run(AepCreateTargetConnectionOperator, name=NAMES.target, dataset_id=dataset),
        "mapping_set": run(AepCreateMappingSetOperator, name=NAMES.mapping, **mapping),
        "flow_spec": run(AepGetFlowSpecOperator),
    }


def flow(parts, **changes):
    wired = {k: parts[k] for k in ("source_connection_id", "target_connection_id", "mapping_set", "flow_spec")}
    options = {"partial_ingestion_percent": 5, "error_diagnostics": True}
    return run(
        AepCreateFlowOperator, **{"name": NAMES.flow, "columns": parts["columns"], **wired, **options, **changes}
    )


def refused(aep, says, operator, **arguments):
    """The task fails at once with one sentence, and nothing was written."""
    before = [w for w in aep.writes() if not w.endswith("validate")]
    with pytest.raises(AepPermanentError, match=says) as caught:
        run(operator, **arguments)
    assert [w for w in aep.writes() if not w.endswith("validate")] == before
    assert "Next step:" in str(caught.value)
    return str(caught.value)

"""The client and the emulator, written apart, agree over real HTTP from token to Parquet."""

import time

import duckdb
import pytest

from airflow_provider_aep.client import catalog, data_prep, flow_service, sandboxes, schema_registry
from airflow_provider_aep.client.errors import AepInvalidRequestError
from airflow_provider_aep.emulator.tables import sample_data

SERVICENOW = {"id": "eb13cb25-47ab-407f-ba89-c0125281c563", "version": "1.0"}
DATA_LAKE = {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"}
MAPPINGS = {
    "sys_id": "_id",
    "first_name": "person.name.firstName",
    "last_name": "person.name.lastName",
    "email": "personalEmail.address",
    "birth_date": "person.birthDate",
    "gender": "person.gender",
}


def test_a_contact_table_reaches_the_lake(emulator):
    with emulator.client() as aep:
        assert [s.name for s in aep.send(sandboxes.list_sandboxes())] == ["prod", "dev"]
        assert aep.send(schema_registry.stats()).tenantId == "emulator"
        auth = {
            "specName": "Basic Authentication",
            "params": {"endpoint": "https://x.service-now.com", "username": "u", "password": "p"},
        }
        base = aep.send(flow_service.create_connection({"name": "base", "auth": auth, "connectionSpec": SERVICENOW})).id
        assert aep.send(flow_service.test_connection(base)) is True
        tables = [t.name for t in aep.send(flow_service.explore_root(base))]
        assert tables == ["customer_account", "customer_contact", "incident"]
        columns = aep.send(flow_service.explore_table(base, "customer_contact"))
        assert {c.name: c.type for c in columns}["sys_updated_on"] == "date-time"
        refs = [
            {"$ref": f"https://ns.adobe.com/xdm/context/{n}"}
            for n in ("profile", "profile-person-details", "profile-personal-details")
        ]
        schema = aep.send(schema_registry.create_schema({"type": "object", "title": "s", "allOf": refs}))
        ref = {"id": schema.id, "contentType": schema_registry.FULL}
        dataset = aep.send(catalog.create_dataset({"name": "d", "schemaRef": ref}))
        source = aep.send(
            flow_service.create_source_connection(
                {
                    "name": "source",
                    "baseConnectionId": base,
                    "data": {"format": "tabular"},
                    "params": {"tableName": "customer_contact", "columns": [c.verbatim for c in columns]},
                    "connectionSpec": SERVICENOW,
                }
            )
        ).id
        target = aep.send(
            flow_service.create_target_connection(
                {
                    "name": "target",
                    "data": {"schema": {"id": schema.id, "version": schema_registry.FULL}},
                    "params": {"dataSetId": dataset},
                    "connectionSpec": DATA_LAKE,
                }
            )
        ).id
        mapping = aep.send(
            data_prep.create_mapping_set(
                {
                    "outputSchema": {"schemaRef": ref},
                    "mappings": [
                        {"sourceType": "ATTRIBUTE", "source": s, "destination": d} for s, d in MAPPINGS.items()
                    ],
                }
            )
        )
        [spec] = aep.items(flow_service.list_flow_specs("CRMToAEP"))
        flow = aep.send(
            flow_service.create_flow(
                {
                    "name": "flow",
                    "flowSpec": {"id": spec.id, "version": spec.version},
                    "sourceConnectionIds": [source],
                    "targetConnectionIds": [target],
                    "transformations": [
                        {"name": "Mapping", "params": {"mappingId": mapping.id, "mappingVersion": mapping.version}}
                    ],
                    "scheduleParams": {"startTime": int(time.time()) + 1, "frequency": "once"},
                }
            )
        ).id
        deadline = time.monotonic() + 20
        run = None
        while time.monotonic() < deadline:
            run = next(aep.items(flow_service.list_runs(flow)), None)
            if run and run.metrics.statusSummary.status == "success":
                break
            time.sleep(0.1)
        assert run is not None
        records = run.metrics.recordSummary
        assert (records.inputRecordCount, records.outputRecordCount, records.failedRecordCount) == (1000, 994, 6)
        batch = run.activities[-1].targetInfo[0]["reference"]["ids"][0]
        assert aep.send(catalog.get_batch(batch)).status == "success"
    # A second reader: duckdb on the CSV says what the Parquet must hold.
    bad = {"CNCT0000013", "CNCT0000100", "CNCT0000251", "CNCT0000501", "CNCT0000734", "CNCT0000902"}
    lake = str(emulator.lake / "**" / "*.parquet")
    query = lambda sql: duckdb.connect().execute(sql).fetchall()  # noqa: E731
    missing = query(
        f"SELECT number FROM read_csv('{sample_data()}/customer_contact.csv', all_varchar=true) c "
        f"WHERE NOT EXISTS (FROM read_parquet('{lake}') l WHERE l._id = c.sys_id AND "
        '"person.name.firstName" = c.first_name AND "personalEmail.address" = c.email '
        'AND "person.birthDate" = c.birth_date)'
    )
    assert {number for (number,) in missing} == bad
    assert query(f"SELECT count(*) FROM read_parquet('{lake}')") == [(994,)]


def test_a_refusal_arrives_typed(emulator):
    body = {"name": "t", "params": {"dataSetId": "x"}, "connectionSpec": SERVICENOW}
    with emulator.client() as aep, pytest.raises(AepInvalidRequestError, match="1307-400.*data lake") as error:
        aep.send(flow_service.create_target_connection(body))
    assert error.value.status == 400
    assert error.value.where.request_id
    assert error.value.where.sandbox == "dev"

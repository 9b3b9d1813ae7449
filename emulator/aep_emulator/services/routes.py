"""The routes of all services, and those that AEP has and the emulator lacks."""

from __future__ import annotations

from aep_emulator.core.errors import COVERAGE, problem
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.world import World
from aep_emulator.services import export, sandboxes
from aep_emulator.services.catalog import resources as catalog
from aep_emulator.services.data_prep import languages, mapping_sets
from aep_emulator.services.flow_service import connections, flows
from aep_emulator.services.identity import namespaces
from aep_emulator.services.schema_registry import descriptors
from aep_emulator.services.schema_registry import resources as schema_registry

ROUTES: list[Route] = [
    *connections.ROUTES,
    *flows.ROUTES,
    *schema_registry.ROUTES,
    *descriptors.ROUTES,
    *catalog.ROUTES,
    *mapping_sets.ROUTES,
    *languages.ROUTES,
    *sandboxes.ROUTES,
    *export.ROUTES,
    *namespaces.ROUTES,
]


_ABSENT = """
schema-registry.yaml GET schemaregistry/rpc/export/{id}, POST schemaregistry/rpc/import
schema-registry.yaml GET schemaregistry/rpc/sampledata/{id}, GET schemaregistry/rpc/auditlog/{id}
schema-registry.yaml GET schemaregistry/global/descriptors, GET schemaregistry/global/descriptors/{id}
catalog.yaml GET catalog, POST catalog, GET catalog/tags/{namespace}, GET catalog/dataSets/{id}/credentials
catalog.yaml GET catalog/batches/uniques/{field}, POST catalog/batches, POST catalog/batches/{id}
catalog.yaml PUT catalog/batches/{id}, PATCH catalog/batches/{id}, DELETE catalog/batches/{id}
aepp GET conversion/mappingSets/suggestion, POST conversion/mappingSets/{id}/mappings
aepp PUT conversion/mappingSets/{id}/mappings/{mapping}, DELETE conversion/mappingSets/{id}/mappings/{mapping}
aepp GET connectors/landingzone, GET connectors/landingzone/credentials
sandbox.yaml POST sandbox-management/sandboxes, PUT sandbox-management/sandboxes/{name}
sandbox.yaml PATCH sandbox-management/sandboxes/{name}, DELETE sandbox-management/sandboxes/{name}
data-access.yaml GET export/batches/{id}/files, GET export/files/{id}, HEAD export/files/{id}
data-access.yaml GET export/datasets/{id}/preview
batch-ingestion.yaml POST import/batches, POST import/batches/{id}
"""
"""Operations near onboarding that Adobe's descriptions contain and the emulator lacks."""


def _absent(world: World, request: Request, *_: str) -> Reply:
    what = f"The emulator has no {request.method} {request.path[:200]}; {COVERAGE} lists what it has, and why"
    raise problem(501, "Not Implemented", what, COVERAGE)


ABSENT = [
    Route(method, f"/data/foundation/{path}", _absent, Evidence.ABSENT, source, None, status=501)
    for line in _ABSENT.strip().splitlines()
    for source, _, rest in [line.partition(" ")]
    for method, _, path in [operation.partition(" ") for operation in rest.split(", ")]
]

"""Datasets of AEP as Airflow's assets: ``aep://<org>/<sandbox>/dataset/<id>``.

The organization is written without its ``@AdobeOrg``, which all of them end with: Airflow takes what is before an ``@``
for a user's name, and drops it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult

from airflow.providers.common.compat.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_aep.hooks.landing import Landing

SCHEME = "aep"
LANDED = "aep"
"""The name of the alias that stands for every dataset."""

_ORG = re.compile(r"([0-9A-Za-z]+)(?:@AdobeOrg)?")
_PATH = re.compile(r"/([a-z0-9][a-z0-9-]*)/dataset/([0-9A-Za-z_-]+)")


def create_asset(*, org_id: str, sandbox: str, dataset_id: str, **options: Any) -> Asset:
    """The asset of a dataset, by which DAGs are scheduled.

    :param org_id: the IMS organization, with or without its ``@AdobeOrg``
    :param options: of an asset: ``extra``, ``watchers`` and the like
    :raises ValueError: one of them cannot be part of the address
    """
    return Asset(uri=f"{SCHEME}://{org_id.removesuffix('@AdobeOrg')}/{sandbox}/dataset/{dataset_id}", **options)


def landed() -> AssetAlias:
    """The outlet of tasks that tell of whatever dataset it is, and the schedule of a DAG that wants to hear of all.

    No task has it by itself: where two tasks make an asset known to Airflow at the same moment, Airflow fails one.
    """
    return AssetAlias(LANDED)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Airflow's handler of these addresses.

    :raises ValueError: it is not ``aep://<org>/<sandbox>/dataset/<id>``
    """
    org, path = _ORG.fullmatch(uri.netloc), _PATH.fullmatch(uri.path)
    if org is None or path is None or uri.query or uri.fragment:
        raise ValueError("An address of AEP is aep://<org>/<sandbox>/dataset/<id>, and no more")
    return uri._replace(netloc=org[1])


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """How OpenLineage names it."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    org, _, name = asset.uri.removeprefix(f"{SCHEME}://").partition("/")
    return Dataset(namespace=f"{SCHEME}://{org}", name=name)


class LandsRows:
    """Of an operator or a sensor that has watched a run: it tells Airflow and OpenLineage where the rows are."""

    aep_conn_id: str
    outlets: list[Any]
    log: Any
    _landing: Landing | None = None

    def _landed(self, context: Any, result: dict[str, Any]) -> dict[str, Any]:
        from airflow_provider_aep.hooks.landing import Landing

        self._landing = Landing.of(self.aep_conn_id, result, self.outlets, self.log)
        if self._landing:
            self._landing.emit(context or {}, self.outlets)
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """For Airflow's OpenLineage provider, which alone calls it."""
        return self._landing.lineage() if self._landing else None

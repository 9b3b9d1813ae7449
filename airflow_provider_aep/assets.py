"""Airflow assets for datasets of AEP, with the URI ``aep://<org>/<sandbox>/dataset/<id>``.

The URI contains the organization without ``@AdobeOrg``, because Airflow removes text before an ``@`` as a user name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult

from airflow.providers.common.compat.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset


SCHEME = "aep"
ANY_DATASET = "aep"
"""Name of the asset alias for all datasets."""

_ORG = re.compile(r"([0-9A-Za-z._-]+)(?:@AdobeOrg)?")
_PATH = re.compile(r"/([a-z0-9][a-z0-9-]*)/dataset/([0-9A-Za-z_-]+)")


def create_asset(*, org_id: str, sandbox: str, dataset_id: str, **options: Any) -> Asset:
    """Return the asset of a dataset, for schedules and outlets of DAGs.

    :param org_id: the IMS organization, with or without ``@AdobeOrg``
    :param sandbox: name of the sandbox
    :param dataset_id: id of the dataset
    :param options: further arguments of the asset, such as ``extra`` and ``watchers``
    :raises ValueError: an argument contains characters that are not allowed in the URI
    """
    return Asset(uri=f"{SCHEME}://{org_id.removesuffix('@AdobeOrg')}/{sandbox}/dataset/{dataset_id}", **options)


def any_dataset() -> AssetAlias:
    """Return the asset alias for all datasets: an outlet for tasks that wait for runs, and a schedule for DAGs.

    Add it to the ``outlets`` of a task: no task has it there by default. If two tasks register the same new asset at
    the same time, Airflow fails one of them.
    """
    return AssetAlias(ANY_DATASET)


def is_aep_outlet(outlet: Any) -> bool:
    """Return whether an outlet can receive events of AEP datasets: it is an asset of AEP, or an alias."""
    return isinstance(outlet, AssetAlias) or (isinstance(outlet, Asset) and outlet.uri.startswith(f"{SCHEME}://"))


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the normalized URI of an asset. Airflow calls it for every URI with the scheme ``aep``.

    :raises ValueError: the URI is not ``aep://<org>/<sandbox>/dataset/<id>``
    """
    org, path = _ORG.fullmatch(uri.netloc), _PATH.fullmatch(uri.path)
    if org is None or path is None or uri.query or uri.fragment:
        raise ValueError(
            f"The asset URI {uri.geturl()!r} is invalid. Next step: Set it to aep://<org>/<sandbox>/dataset/<id>."
        )
    return uri._replace(netloc=org[1])


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """Return the OpenLineage dataset of an asset. Airflow's OpenLineage provider calls it."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    org, _, name = asset.uri.removeprefix(f"{SCHEME}://").partition("/")
    return Dataset(namespace=f"{SCHEME}://{org}", name=name)

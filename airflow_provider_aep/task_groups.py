"""Onboarding files as DAGs: a task group for one file, and a DAG for each file of a folder.

A file is read while a DAG is parsed, without AEP and without a connection.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, TaskGroup, XComArg

from airflow_provider_aep.operators.base import AepOperator
from airflow_provider_aep.operators.flow import (
    AepCreateFlowOperator,
    AepCreateMappingSetOperator,
    AepGetFlowSpecOperator,
)
from airflow_provider_aep.operators.onboarding import AepReportProblemsOperator
from airflow_provider_aep.operators.profile import (
    AepCreateIdentityDescriptorOperator,
    AepEnableDatasetForProfileOperator,
    AepEnableSchemaForProfileOperator,
)
from airflow_provider_aep.operators.source import (
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
    AepExploreOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetOperator,
    AepCreateFieldGroupOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

if TYPE_CHECKING:
    from airflow_provider_aep.onboarding.spec.loader import Loaded


class AepOnboarding(TaskGroup):
    """The tasks of one onboarding file: an operator for each object, then a sensor for the flow's run.

    Each task has its retries, logs and link, as in a DAG of operators.

    :param group_id: id of the task group
    :param file: path of the onboarding file, or the onboarding that the loader has made of it for ``env``
    :param env: name of the environment
    :param deferrable: whether the wait for the run defers; default: as for the sensor
    :raises ValueError: the file has a mistake; the message lists all of them
    """

    def __init__(
        self, group_id: str, *, file: str | Path | Loaded, env: str, deferrable: bool | None = None, **kwargs: Any
    ) -> None:
        loaded = _load_one(Path(file), env) if isinstance(file, str | Path) else file
        super().__init__(group_id, **kwargs)
        with self:
            self._build(loaded, {} if deferrable is None else {"deferrable": deferrable})
        for task in self.children.values():
            if isinstance(task, AepOperator):
                task.renders_texts = False  # a file has no templates

    def _build(self, loaded: Loaded, waiting: dict[str, Any]) -> None:
        from airflow_provider_aep.onboarding.spec.chain import columns_of, delta_column_of, name_of
        from airflow_provider_aep.systems import default_source_conn_id, find_system

        assert loaded.environment is not None
        spec, source, schema = loaded.spec, loaded.spec.source, loaded.spec.schema_
        common: dict[str, Any] = {"aep_conn_id": loaded.environment.connection}
        described = {**common, "description": spec.description}
        frequency, interval = spec.schedule.frequency()

        base = AepCreateBaseConnectionOperator(
            task_id="base_connection",
            name=name_of(spec, "base"),
            system=source.system,
            source_conn_id=source.connection or default_source_conn_id(source.system, None),
            **self._terms(loaded, "base"),
            **described,
        )
        columns: Any = columns_of(spec)
        if source.columns == "explore":
            explore = AepExploreOperator(
                task_id="explore",
                base_connection_id=_output(base),
                table=source.table,
                source_params=source.params,
                **common,
            )
            columns = _output(explore)
        source_connection = AepCreateSourceConnectionOperator(
            task_id="source_connection",
            name=name_of(spec, "source"),
            base_connection_id=_output(base),
            table=source.table,
            columns=columns,
            source_params=source.params,
            replace="source" in spec.replace,
            **self._terms(loaded, "source"),
            **described,
        )
        groups: list[Any] = list(schema.field_groups)
        if schema.fields:
            group = AepCreateFieldGroupOperator(
                task_id="field_group",
                title=name_of(spec, "field_group"),
                fields=schema.fields,
                classes=[schema.class_],
                **self._terms(loaded, "field_group"),
                **described,
            )
            groups.append(_output(group))
        xdm_schema = AepCreateSchemaOperator(
            task_id="schema",
            title=name_of(spec, "schema"),
            class_id=schema.class_,
            field_groups=groups,
            **self._terms(loaded, "schema"),
            **described,
        )
        dataset = AepCreateDatasetOperator(
            task_id="dataset",
            name=name_of(spec, "dataset"),
            schema_id=_output(xdm_schema),
            **self._terms(loaded, "dataset"),
            **described,
        )
        target = AepCreateTargetConnectionOperator(
            task_id="target_connection",
            name=name_of(spec, "target"),
            dataset_id=_output(dataset),
            data_format=find_system(source.system).target_format,
            replace="target" in spec.replace,
            **self._terms(loaded, "target"),
            **described,
        )
        mapping_set = AepCreateMappingSetOperator(
            task_id="mapping_set",
            name=name_of(spec, "mapping"),
            schema_id=_output(xdm_schema),
            mappings=spec.mappings,
            columns=columns,
            flow_name=name_of(spec, "flow"),
            **self._terms(loaded, "mapping"),
            **common,
        )
        flow_spec = AepGetFlowSpecOperator(task_id="flow_spec", base_connection_id=_output(base), **common)
        flow = AepCreateFlowOperator(
            task_id="flow",
            name=name_of(spec, "flow"),
            source_connection_id=_output(source_connection),
            target_connection_id=_output(target),
            mapping_set=_output(mapping_set),
            flow_spec=_output(flow_spec),
            frequency=frequency,
            interval=interval,
            backfill=spec.schedule.backfill,
            delta_column=delta_column_of(spec),
            columns=columns,
            partial_ingestion_percent=spec.options.partial_ingestion_percent,
            error_diagnostics=spec.options.error_diagnostics,
            replace="flow" in spec.replace,
            **self._terms(loaded, "flow"),
            **described,
        )
        self._profile(loaded, xdm_schema, dataset, flow, common)
        AepFlowRunSensor(
            task_id="run",
            flow_id=_output(flow),
            **{name: value for name, value in spec.quality if value is not None},
            **waiting,
            **common,
        )
        self.flow_id: XComArg = _output(flow)
        self.dataset_id: XComArg = _output(dataset)

    @staticmethod
    def _terms(loaded: Loaded, kind: str) -> dict[str, Any]:
        return {"take_over": kind in loaded.spec.take_over, "adopt": loaded.spec.adopt}

    @staticmethod
    def _profile(loaded: Loaded, schema: Any, dataset: Any, flow: Any, common: dict[str, Any]) -> None:
        spec = loaded.spec
        identities = [
            AepCreateIdentityDescriptorOperator(
                task_id=f"identity_{number}" if number else "identity",
                schema_id=_output(schema),
                path=identity.path,
                namespace=identity.namespace,
                primary=identity.primary,
                irreversible=True,
                **common,
            )
            for number, identity in enumerate(spec.identities)
        ]
        if not spec.profile.enabled:
            for identity in identities:
                identity >> flow
            return
        enable_schema = AepEnableSchemaForProfileOperator(
            task_id="enable_schema", schema_id=_output(schema), irreversible=spec.profile.irreversible, **common
        )
        enable_dataset = AepEnableDatasetForProfileOperator(
            task_id="enable_dataset",
            dataset_id=_output(dataset),
            upsert=spec.profile.upsert,
            irreversible=spec.profile.irreversible,
            **common,
        )
        for identity in identities:
            identity >> enable_schema
        enable_schema >> enable_dataset >> flow


def _output(task: Any) -> Any:
    """Return the result of a task, as arguments of other tasks take it."""
    return task.output


def load_onboardings(
    namespace: dict[str, Any],
    folder: str | Path,
    *,
    env: str,
    schedule: Any = None,
    deferrable: bool | None = None,
    **dag_arguments: Any,
) -> None:
    """Make one DAG for each onboarding file of a folder: ``aep_`` and the name of the file.

    A file with a mistake gets a DAG whose one task fails and lists all mistakes, so that the other files still load.

    Airflow skips a DAG file without the words ``airflow`` and ``dag``, so a comment must have the second one.

    :param namespace: ``globals()`` of the DAG file
    :param folder: of the onboarding files; a path without a root begins at the DAG file
    :param env: name of the environment
    :param schedule: of each DAG
    :param deferrable: as for :class:`AepOnboarding`
    :param dag_arguments: further arguments of each DAG, such as ``default_args``
    """
    root = Path(folder)
    if not root.is_absolute():
        root = Path(namespace.get("__file__", ".")).parent / root
    for file, (loaded, problems) in _load([root], env).items():
        stem = file.relative_to(root).with_suffix("").as_posix() if root.is_dir() else file.stem
        dag_id = "aep_" + re.sub(r"[^A-Za-z0-9_.-]", "_", stem)
        arguments: dict[str, Any] = {"max_active_runs": 1, "tags": ["aep", "onboarding"], **dag_arguments}
        with DAG(dag_id, schedule=schedule, **arguments) as dag:
            if problems or len(loaded) != 1:
                lines = problems or [f"{file} has {len(loaded)} onboardings. Write each into a separate file."]
                AepReportProblemsOperator(task_id="problems", problems=lines)
            else:
                AepOnboarding("onboarding", file=loaded[0], env=env, deferrable=deferrable)
        namespace[dag_id] = dag


def _load_one(file: Path, env: str) -> Loaded:
    loaded, problems = _load([file], env).get(file, ([], []))
    if problems or len(loaded) != 1:
        raise ValueError(
            "\n".join(problems) or f"{file} has {len(loaded)} onboardings for the environment {env!r}, and needs one"
        )
    return loaded[0]


def _load(paths: list[Path], env: str) -> dict[Path, tuple[list[Loaded], list[str]]]:
    """Return the onboardings and the mistakes of each file; a file of other environments is left out.

    A mistake in the file of the folder is one of each file.
    """
    from airflow_provider_aep.onboarding.spec import offline
    from airflow_provider_aep.onboarding.spec.loader import load, onboarding_files

    loaded, problems = load(paths, env)
    errors = [p for p in (*problems, *(p for one in loaded for p in offline.check(one))) if p.grade == "error"]
    files = onboarding_files(paths)
    folder_problems = [str(problem) for problem in errors if Path(problem.file) not in files]
    found = {
        file: (
            [one for one in loaded if one.document.file == file],
            [*folder_problems, *(str(problem) for problem in errors if Path(problem.file) == file)],
        )
        for file in files
    }
    return {file: content for file, content in found.items() if any(content)}

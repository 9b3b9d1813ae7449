"""Resource type flow (dataflow): moves rows from a source connection to a target connection on a schedule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import STATE_POLL
from airflow_provider_aep.client.errors import AepConfigurationError, AepNotFoundError, AepUnavailableError
from airflow_provider_aep.client.filters import name_filter
from airflow_provider_aep.client.models import Flow, Ref
from airflow_provider_aep.naming import is_retired_name, retired_name
from airflow_provider_aep.onboarding.reconcile.consistency import STATE_WAIT, transition
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    CreateOptions,
    Desired,
    FieldPolicy,
    Observed,
    at,
    drop_none,
)
from airflow_provider_aep.onboarding.resources.flow_service import Endpoints, ReplaceableFlowServiceType
from airflow_provider_aep.runs.verdict import RunResult, Verdict, evaluate_run

_RETIRED_NAMES = 20
"""Number of retired names in one filter."""

PUBLISH_MARGIN = 10.0
"""Seconds by which a draft's start must be in the future when the draft is published."""


def cadence(frequency: object) -> str:
    """Return ``once`` or ``repeatedly``.

    AEP cannot change between them, because interval, backfill and delta column are not allowed with ``once``.
    """
    return "once" if frequency == "once" else "repeatedly"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The schedule of a flow. A field that is ``None`` is neither sent nor compared.

    :param frequency: ``once``, ``minute``, ``hour``, ``day`` or ``week``
    :param interval: interval between runs, in units of the frequency
    :param backfill: whether the first run ingests all data of the source; create-only
    :param start_time: start in seconds since the epoch; create-only
    :param start_in_minutes: start in minutes after the create request, instead of ``start_time``
    """

    frequency: str | None = None
    interval: int | None = None
    backfill: bool | None = None
    start_time: int | None = None
    start_in_minutes: float | None = None

    def params(self) -> Body:
        """Return the ``scheduleParams`` of a request."""
        return drop_none(
            startTime=self.start_time, frequency=self.frequency, interval=self.interval, backfill=self.backfill
        )

    def with_start(self, now: float, delay: float) -> Schedule:
        """Return the schedule with an absolute start, if its start is relative to the create request.

        :param now: AEP's time in seconds since the epoch
        :param delay: seconds to add to the start
        """
        if self.start_in_minutes is None:
            return self
        # guard: compute a relative start at the create
        return replace(self, start_time=math.ceil(now + delay + 60 * self.start_in_minutes))


@dataclass(frozen=True, kw_only=True)
class FlowDesired(Desired):
    """The desired state of a flow.

    :param flow_spec: ``{"id", "version"}``
    :param source_connection_id: id of the source connection
    :param target_connection_id: id of the target connection
    :param mapping_set: ``{"id", "version"}``
    :param delta_column: parameters of the ``Copy`` transformation's delta column; ``None`` without one
    :param schedule: the schedule
    :param partial_ingestion_percent: percentage of failed records up to which a run succeeds; ``None`` is not compared
    :param error_diagnostics: whether AEP keeps failed records; ``None`` is not compared
    """

    flow_spec: Mapping[str, Any]
    source_connection_id: str
    target_connection_id: str
    mapping_set: Mapping[str, Any]
    delta_column: Mapping[str, Any] | None = None
    schedule: Schedule
    partial_ingestion_percent: float | None = None
    error_diagnostics: bool | None = None

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        options = drop_none(
            partialIngestionPercent=self.partial_ingestion_percent, errorDiagnosticsEnabled=self.error_diagnostics
        )
        return drop_none(
            name=self.name,
            description=self.description,
            options=options or None,
            flowSpec=dict(self.flow_spec),
            sourceConnectionIds=[self.source_connection_id],
            targetConnectionIds=[self.target_connection_id],
            steps={
                **({"Copy": {"deltaColumn": dict(self.delta_column)}} if self.delta_column else {}),
                "Mapping": mapping_params(self.mapping_set),
            },
            runs=cadence(self.schedule.frequency) if self.schedule.frequency else None,
            scheduleParams=self.schedule.params(),
        )


@dataclass(frozen=True, kw_only=True)
class FlowUpdate(Desired):
    """The fields of an update of an existing flow. A field that is ``None`` keeps its value.

    :param mapping_set: ``{"id", "version"}``
    :param schedule: the fields of the schedule to write
    """

    mapping_set: Mapping[str, Any] | None = None
    schedule: Schedule | None = None

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return drop_none(
            name=self.name,
            description=self.description,
            steps={"Mapping": mapping_params(self.mapping_set)} if self.mapping_set else None,
            scheduleParams=self.schedule.params() if self.schedule else None,
        )


def mapping_params(mapping_set: Mapping[str, Any]) -> Body:
    """Return the parameters of the ``Mapping`` transformation."""
    return {"mappingId": mapping_set["id"], "mappingVersion": mapping_set["version"]}


class FlowType(ReplaceableFlowServiceType[FlowDesired]):
    """The resource type of flows. Start time and backfill are create-only, so that a re-run does not move the start."""

    endpoints = Endpoints(
        find=flow_service.list_flows,
        read=flow_service.get_flow,
        create=flow_service.create_flow,
        patch=flow_service.patch_flow,
        publish=flow_service.publish_flow,
        delete=flow_service.delete_flow,
    )
    label = "flow"
    parent = "flowSpec.id"
    policy = FieldPolicy(
        immutable=("flowSpec.id", "sourceConnectionIds", "targetConnectionIds", "runs", "steps.Copy.deltaColumn.name"),
        managed=(
            "steps.Mapping",
            "scheduleParams.frequency",
            "scheduleParams.interval",
            "options.partialIngestionPercent",
            "options.errorDiagnosticsEnabled",
            "description",
        ),
    )
    page = "source/dataflows/{0}/activity"
    deletion_order = 0

    def observe(self, answer: Flow) -> Observed:
        """Return the observed state of a flow."""
        observed = super().observe(answer)
        steps = {step.name: step.params for step in answer.transformations}
        runs = cadence(answer.scheduleParams.get("frequency"))
        return replace(observed, fields={**observed.fields, "steps": steps, "runs": runs})

    def create(self, desired: FlowDesired, options: CreateOptions) -> Call[Ref]:
        """Return the call that creates a flow."""
        schedule = desired.schedule.with_start(options.now, options.start_delay)
        fields = self.body(replace(desired, schedule=schedule), options)
        steps = [{"name": name, "params": params} for name, params in fields.pop("steps").items()]
        fields.pop("runs", None)
        return flow_service.create_flow({**fields, "transformations": steps}, draft=options.draft)

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[Ref]:
        """Return the call that writes some fields. Its patch addresses ``Mapping`` by position, after ``Copy``."""
        operations = []
        if any(path.startswith("options.") for path in paths):
            options = {**(observed.fields.get("options") or {}), **fields["options"]}
            operations.append({"op": "add", "path": "/options", "value": options})  # it may be absent
        for path in paths:
            if path.startswith("options."):
                continue
            if path != "steps.Mapping":
                operations.append(self.patch_operation(observed, fields, path))
                continue
            names = [step["name"] for step in observed.fields["transformations"]]
            value = {"name": "Mapping", "params": at(fields, path)}
            operations.append({"op": "replace", "path": f"/transformations/{names.index('Mapping')}", "value": value})
        return self.patch(observed, operations)

    def reschedule_draft(self, observed: Observed, desired: FlowDesired, now: float) -> Call[Ref] | None:
        """Return the call that moves a draft's start, if it has passed or is close; ``None`` if it is not."""
        has_relative_start = desired.schedule.start_in_minutes is not None
        if not has_relative_start or float(observed.fields["scheduleParams"]["startTime"]) > now + PUBLISH_MARGIN:
            return None
        start = desired.schedule.with_start(now, 0).start_time
        operation = {"op": "replace", "path": "/scheduleParams/startTime", "value": start}
        return self.patch(observed, [operation])

    def enable(self, id_: str) -> Call[Ref]:
        """Return the call that enables a flow."""
        return flow_service.enable_flow(id_)

    def quiesce(self, client: AepClient, observed: Observed, desired: FlowDesired, grace_period: float) -> None:
        """Disable a flow, and wait until its current run ends. The window of this run is the flow's last one."""
        _wait_for_first_run(client, observed, grace_period)
        _check_no_repeated_ingestion(client, desired, [observed.id])
        # guard: disable before a replacement
        if observed.state == "enabled":
            transition(client, self, observed.id, flow_service.disable_flow, frozenset({"disabled"}))
            _wait_for_first_run(client, observed, grace_period)  # a run may have begun before the flow was disabled
        started, newest = client.clock.now(), flow_service.list_runs(observed.id, orderby="-createdAt")
        # guard: wait for a run before a replacement
        while any(evaluate_run(run).verdict == Verdict.WAITING for run in client.send(newest).items):
            if client.clock.now() - started > STATE_WAIT:
                raise AepUnavailableError(
                    f"The flow {observed.name!r} ({observed.id}) cannot be replaced, because its run has not ended "
                    f"after {STATE_WAIT:.0f} s",
                    next_step="Try again later. The flow is disabled, so it starts no other run.",
                )
            client.clock.sleep(STATE_POLL)
        # guard: check again after the last run
        _check_no_repeated_ingestion(client, desired, [observed.id])

    def prepare_successor(self, client: AepClient, desired: FlowDesired) -> tuple[FlowDesired, str]:
        """Return the flow, without backfill if a retired flow of its name has ingested into the same dataset."""
        predecessors = _predecessors(client, self, desired.name)
        _check_no_repeated_ingestion(client, desired, predecessors)
        runs = [run for flow in predecessors for run in _ingested_runs(client, desired, flow)]
        if not runs:
            return desired, ""
        last = max(run.window_end or run.completed_at or 0 for run in runs)
        until = f"up to {datetime.fromtimestamp(last / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC" if last else "before"
        # guard: no backfill for a successor
        return replace(desired, schedule=replace(desired.schedule, backfill=False)), (
            f"The replaced flow has ingested rows {until}. AEP starts no flow in the past, so rows that changed "
            "between then and the start of the new flow are not ingested."
        )


def _predecessors(client: AepClient, resource_type: FlowType, name: str) -> set[str]:
    """Return the ids of flows with our marker that had this name.

    A filter for retired names avoids listing all flows of the sandbox. Because of the read lag, a retired flow may be
    listed under its old name.
    """
    ids: set[str] = set()
    for first in itertools.count(1, _RETIRED_NAMES):
        retired = [retired_name(name, number) for number in range(first, first + _RETIRED_NAMES)]
        names = [name, *retired] if first == 1 else retired
        flows = list(client.items(flow_service.list_flows(name_filter(*names))))
        ids |= {
            flow.id
            for flow in flows
            # guard: count a predecessor under its old name
            if (flow.name == name or is_retired_name(flow.name, name)) and resource_type.observe(flow).marker
        }
        if not any(flow.name == retired[-1] for flow in flows):
            return ids
    return ids


def _wait_for_first_run(client: AepClient, observed: Observed, grace_period: float) -> None:
    """Wait out the read lag of lists if a flow should have had a run, and no run is listed.

    A failed run in a list does not prove that no other run exists.
    """
    is_due = float(observed.fields["scheduleParams"].get("startTime") or 0) <= client.server_now()
    runs = map(evaluate_run, client.items(flow_service.list_runs(observed.id)))
    # guard: wait for an unlisted first run
    # guard: a failed run does not hide the next
    if is_due and all(run.verdict == Verdict.FAILED for run in runs):
        client.clock.sleep(grace_period)


def _check_no_repeated_ingestion(client: AepClient, desired: FlowDesired, flow_ids: Iterable[str]) -> None:
    """Raise if a flow with frequency once would ingest every row again.

    :raises AepConfigurationError: a predecessor has ingested
    """
    runs = (run for flow in flow_ids for run in _ingested_runs(client, desired, flow))
    ended_runs = (run for run in runs if run.verdict != Verdict.WAITING.value)
    # guard: no second run-once flow
    if cadence(desired.schedule.frequency) == "once" and any(ended_runs):
        raise AepConfigurationError(
            f"The flow {desired.name!r} has already run, and another flow with frequency once would ingest all rows",
            next_step="Choose another name and dataset, or set frequency to another value than once.",
        )


def _ingested_runs(client: AepClient, desired: FlowDesired, flow_id: str) -> list[RunResult]:
    """Return the runs of a flow that have written rows, or may write rows, into the dataset of the desired flow."""
    if _has_other_dataset(client, flow_id, desired.target_connection_id):
        return []
    results = map(evaluate_run, client.items(flow_service.list_runs(flow_id)))
    # guard: count unfinished runs as ingested
    return [run for run in results if run.verdict != Verdict.FAILED.value]


def _has_other_dataset(client: AepClient, flow_id: str, target_connection_id: str) -> bool:
    """Return whether a flow writes into another dataset; ``False`` if the flow or a target connection was deleted."""
    try:
        targets = client.send(flow_service.get_flow(flow_id)).targetConnectionIds
        if targets == [target_connection_id]:
            return False
        # guard: ignore runs into another dataset
        return _datasets(client, targets) != _datasets(client, [target_connection_id])
    # guard: count runs of a deleted predecessor
    except AepNotFoundError:
        return False


def _datasets(client: AepClient, targets: Iterable[str]) -> list[object]:
    return [client.send(flow_service.get_target_connection(id_)).params.get("dataSetId") for id_ in targets]


class FlowUpdateType(FlowType):
    """The resource type for updates of flows, in which the start time is a managed field."""

    policy = replace(FlowType.policy, managed=(*FlowType.policy.managed, "scheduleParams.startTime"))

"""Waits for a flow run on the triggerer's event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepError
from airflow_provider_aep.hooks.aep import AepHook
from airflow_provider_aep.onboarding.verdict import RunResult, Verdict, judge
from airflow_provider_aep.onboarding.wait import afresh
from airflow_provider_aep.onboarding.watch import check_that_it_will_run, run_of


class AepFlowRunTrigger(BaseTrigger):
    """Fires once, when the awaited run has ended or can no longer be watched.

    The event is ``{"result": <run as a dict>}`` or ``{"error": <message>}``, the latter for errors that waiting
    cannot mend; passing ones are logged and waited out. Nothing secret is among the arguments.

    :param flow_id: the flow
    :param run_id: the run; without it, the flow's first
    :param poke_interval: seconds between two looks
    """

    def __init__(
        self, *, flow_id: str, run_id: str | None = None, aep_conn_id: str = "aep_default", poke_interval: float = 60.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flow_id = flow_id
        self.run_id = run_id
        self.aep_conn_id = aep_conn_id
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider_aep.triggers.flow_run.AepFlowRunTrigger",
            {
                "flow_id": self.flow_id,
                "run_id": self.run_id,
                "aep_conn_id": self.aep_conn_id,
                "poke_interval": self.poke_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        event: dict[str, Any]
        try:
            event = {"result": (await self._ended()).as_dict()}
        except AepError as e:
            event = {"error": str(e)}
        yield TriggerEvent(event)

    async def _ended(self) -> RunResult:
        # Looking up a connection blocks; it must not do so on the loop.
        hook = await sync_to_async(_checked_hook)(self.aep_conn_id)
        async with hook.get_async_conn() as client:
            while True:
                try:
                    run = await afresh(client, run_of(self.flow_id, self.run_id))
                    if run is None:
                        check_that_it_will_run(await afresh(client, flow_service.get_flow(self.flow_id)))
                except AepError as e:
                    if not e.retryable:
                        raise
                    self.log.warning("Still waiting: %s", e)
                    run = None
                if run is not None and (result := judge(run)).verdict != Verdict.WAITING:
                    return result
                await client.clock.asleep(self.poke_interval)


def _checked_hook(aep_conn_id: str) -> AepHook:
    hook = AepHook(aep_conn_id)
    _ = hook.settings
    return hook

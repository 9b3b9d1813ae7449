"""Compatibility with Airflow 3.0 to 3.3: the one module to change for a new Airflow version."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import mask_secret

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs
    from airflow.triggers.shared_stream import SharedStreamProducer

log = logging.getLogger(__name__)

FAIL_METHOD = "__fail__"
"""Method name with which Airflow resumes a task whose trigger failed or timed out."""


TRIGGER_VERSION = 1
"""Version of the arguments that a trigger serializes. Triggerers and schedulers are upgraded one after the other."""


def check_unknown_arguments(version: int | None, other: Mapping[str, Any]) -> None:
    """Raise for the unknown arguments of a trigger that an author creates. Serialized ones are ignored.

    :param version: of the serialized arguments; ``None`` where an author creates the trigger
    :raises TypeError: there are unknown arguments and no version
    """
    if other and version is None:
        raise TypeError(f"Unknown arguments of an AEP trigger: {', '.join(sorted(other))}")


def add_listener(listener: object) -> None:
    """Register an Airflow listener in this process."""
    try:
        from airflow.sdk.listener import get_listener_manager
    except ImportError:  # Airflow before 3.2
        from airflow.listeners.listener import get_listener_manager  # type: ignore[assignment]
    get_listener_manager().add_listener(listener)


def task_state_store(context: Mapping[str, Any]) -> Any:
    """Return the task state store, which keeps values between the tries of a task; ``None`` before Airflow 3.3.

    :param context: Airflow's context of the task
    """
    return context.get("task_state_store")


def asset_state_stores(trigger: Any) -> list[Any]:
    """Return the state stores of the assets that a trigger watches; an empty list before Airflow 3.3.

    :param trigger: one trigger may watch several assets
    """
    store = getattr(trigger, "asset_state_store", None)
    return [] if store is None else [*store._by_name.values(), *store._by_uri.values()]


async def mask_secret_on_loop(secret: str) -> None:
    """Mask a secret in the logs, without blocking the event loop while Airflow's supervisor answers."""
    try:
        from airflow.sdk.log import amask_secret
    except ImportError:  # Airflow before 3.3
        await asyncio.to_thread(mask_secret, secret)
    else:
        await amask_secret(secret)


def triggers_render_templates() -> bool:
    """Return whether Airflow renders templates in the arguments of ``start_from_trigger``: since Airflow 3.3."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "render_template_fields")


def start_trigger_args(**kwargs: Any) -> StartTriggerArgs:
    """Return the arguments of a task that starts in the triggerer (``start_from_trigger``).

    Airflow reads them when the task is created, so the import cannot be deferred.
    """
    from airflow.triggers.base import StartTriggerArgs

    return StartTriggerArgs(**kwargs)


def confirmed_stream(polls: AsyncIterator[Any]) -> SharedStreamProducer:
    """Return a stream of polls that stores the result of a poll after Airflow has stored its event.

    It needs Airflow 3.3.

    :param polls: each has an attribute ``store_result``, a coroutine function or ``None``
    """
    from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

    class ConfirmedStream(SharedStreamProducer):
        async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
            async for poll in polls:
                yield poll, poll

        async def advance(self, batch: Sequence[AdvanceItem]) -> None:
            for item in batch:
                if item.outcome.is_clean and item.broker_payload.store_result:
                    try:
                        await item.broker_payload.store_result()
                    except Exception:  # The result of the next poll includes this one.
                        log.exception(
                            "Airflow did not store the watermark of a dataset trigger; the next poll stores it"
                        )

        async def aclose(self) -> None:
            """Close nothing, because the stream holds no resource."""

    return ConfirmedStream()

"""Sequences of calls, written once for the synchronous and the asynchronous client, as generators of :class:`Call`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, TypeAlias, TypeVar

from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.client import MAX_PAGES, AepClient, AsyncAepClient, endless_list_error
from airflow_provider_aep.client.errors import AepError, Where

T = TypeVar("T")

Steps: TypeAlias = Generator[Call[Any] | float, Any, T]
"""A generator that yields calls and receives their results, or has their :class:`~.errors.AepError` raised in it.

It may also yield a number of seconds to sleep. It returns the result of the sequence.
"""


def list_all(call: Call[Page[T]]) -> Steps[list[T]]:
    """Read all pages of a list, and return its entries.

    :raises AepResponseError: the list does not end after ``MAX_PAGES`` pages
    """
    items: list[T] = []
    for _ in range(MAX_PAGES):
        page: Page[T] = yield call
        items += page.items
        if page.next is None:
            return items
        call = page.next(call)
    raise endless_list_error(Where(call.operation))


def run_steps(client: AepClient, steps: Steps[T]) -> T:
    """Send the calls of a sequence, and return its result.

    :raises AepError: the error of a call, unless the sequence handles it
    """
    resume = partial(steps.send, None)
    while True:
        try:
            step = resume()
        except StopIteration as done:
            return done.value
        try:
            if isinstance(step, Call):
                resume = partial(steps.send, client.send(step))
            else:
                client.clock.sleep(step)
                resume = partial(steps.send, None)
        except AepError as e:
            resume = partial(steps.throw, e)


async def run_steps_async(
    client: AsyncAepClient, steps: Steps[T], turn: Callable[[], Awaitable[None]] | None = None
) -> T:
    """Send the calls of a sequence on an event loop, and return its result; see :func:`run_steps`.

    :param turn: awaited before each call, for instance to limit the rate; ``None`` sends each call at once
    """
    resume = partial(steps.send, None)
    while True:
        try:
            step = resume()
        except StopIteration as done:
            return done.value
        try:
            if isinstance(step, Call):
                if turn:
                    await turn()
                resume = partial(steps.send, await client.send(step))
            else:
                await client.clock.asleep(step)
                resume = partial(steps.send, None)
        except AepError as e:
            resume = partial(steps.throw, e)

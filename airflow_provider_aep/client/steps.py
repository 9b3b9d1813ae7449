"""Several calls of which one decides the next, written once for both clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, TypeAlias, TypeVar

from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.client import MAX_PAGES, AepClient, AsyncAepClient
from airflow_provider_aep.client.errors import AepAnswerError, AepError, Where

T = TypeVar("T")

Steps: TypeAlias = Generator[Call[Any] | float, Any, T]
"""Yields a call and is given its result, or its :class:`~.errors.AepError`; yields seconds to wait."""


def every(call: Call[Page[T]]) -> Steps[list[T]]:
    """The items of a list, page after page.

    :raises AepAnswerError: it does not end after ``MAX_PAGES`` pages
    """
    found: list[T] = []
    for _ in range(MAX_PAGES):
        page: Page[T] = yield call
        found += page.items
        if page.next is None:
            return found
        call = page.next(call)
    raise AepAnswerError(
        f"A list did not end after {MAX_PAGES} pages", where=Where(call.operation), next_step="Narrow the filter."
    )


def follow(client: AepClient, steps: Steps[T]) -> T:
    """Carry out steps.

    :raises AepError: that of a call which the steps do not handle
    """
    resume = partial(steps.send, None)
    while True:
        try:
            asked = resume()
        except StopIteration as done:
            return done.value
        try:
            if isinstance(asked, Call):
                resume = partial(steps.send, client.send(asked))
            else:
                client.clock.sleep(asked)
                resume = partial(steps.send, None)
        except AepError as e:
            resume = partial(steps.throw, e)


async def afollow(client: AsyncAepClient, steps: Steps[T], turn: Callable[[], Awaitable[None]] | None = None) -> T:
    """:func:`follow` on an event loop.

    :param turn: awaited before each call
    """
    resume = partial(steps.send, None)
    while True:
        try:
            asked = resume()
        except StopIteration as done:
            return done.value
        try:
            if isinstance(asked, Call):
                if turn:
                    await turn()
                resume = partial(steps.send, await client.send(asked))
            else:
                await client.clock.asleep(asked)
                resume = partial(steps.send, None)
        except AepError as e:
            resume = partial(steps.throw, e)

"""What all operators share: the connection, the errors, one log line a person can act on."""

from __future__ import annotations

import ast
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_aep.links import AepLink

if TYPE_CHECKING:
    from airflow_provider_aep.client.client import AepClient
    from airflow_provider_aep.onboarding.attempt import Attempt
    from airflow_provider_aep.onboarding.ensure import Outcome
    from airflow_provider_aep.onboarding.kind import Body, Kind


class AepOperator(BaseOperator):
    """Base of the operators that talk to AEP.

    :param aep_conn_id: an Airflow connection of type ``aep`` (templated)
    """

    template_fields: Sequence[str] = ("aep_conn_id",)
    operator_extra_links = (AepLink(),)
    ui_color = "#fbe9e7"

    def __init__(self, *, aep_conn_id: str = "aep_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aep_conn_id = aep_conn_id
        self._object: tuple[str, ...] | None = None
        self._context: Any = {}

    def link_target(self) -> tuple[str, ...] | None:
        """Kind and id of what this task is about; known once it was found or made."""
        return self._object

    def pre_execute(self, context: Any) -> None:
        super().pre_execute(context)
        self._context = context

    # The client and the rules are imported when a task runs: parsing a DAG costs nothing of them.

    @contextmanager
    def aep(self) -> Generator[AepClient, None, None]:
        """A client for the length of the block; its errors become Airflow's."""
        from airflow_provider_aep.exceptions import airflow_errors
        from airflow_provider_aep.hooks.aep import AepHook

        with airflow_errors(), AepHook(self.aep_conn_id).get_conn() as client:
            yield client

    def attempt(self, **terms: Any) -> Attempt:
        """This try of the task, on the author's terms."""
        from airflow_provider_aep.hooks.attempt import attempt_of

        return attempt_of(self._context, **terms)

    def told(self, client: AepClient, kind: str, outcome: Outcome) -> Any:
        """Say in one line what became of an object; returns the task's result."""
        self._object = (kind, outcome.id)
        changed = f" ({', '.join(outcome.changed)})" if outcome.changed else ""
        sandbox = client.settings.sandbox
        label = kind[:1].upper() + kind[1:]
        done = f"{outcome.action}{changed}"
        self.log.info("%s %r %s: %s in sandbox %s", label, outcome.name, done, outcome.id, sandbox)
        if outcome.remark:
            self.log.warning(outcome.remark)
        if outcome.ignored:
            self.log.warning("It differs in %s, and was left as it is", ", ".join(outcome.ignored))
        if outcome.spares:
            self.log.warning("Others of this name stay: %s", ", ".join(outcome.spares))
        return outcome.result


class AepEnsureOperator(AepOperator):
    """Base of the operators that make sure of one object: exactly one, whatever dies when.

    :param if_exists: ``update`` mends what differs in an object that a task like this one made; ``adopt`` takes what
        there is as it is; ``fail`` wants it made by this task
    :param take_over: change, and from then on keep, an object of this name that was not made here; without it such a
        one is used if it is as wanted, and is an error if it differs
    :param concurrent_writers: another DAG, or another Airflow, may make the same object at this moment: a create is
        followed by a wait of ``[aep] settle`` seconds, after which the eldest counts
    """

    def __init__(
        self, *, if_exists: str = "update", take_over: bool = False, concurrent_writers: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.if_exists = if_exists
        self.take_over = take_over
        self.concurrent_writers = concurrent_writers

    def ensure(self, client: AepClient, kind: Kind, wanted: Body, **more: Any) -> Any:
        """Make sure the object exists, and say so in one line; returns the task's result.

        :param wanted: the body of a create; what is ``None`` is not sent and not compared
        :param more: further terms of the attempt
        """
        from airflow_provider_aep.onboarding.ensure import ensure

        attempt = self.attempt(
            if_exists=self.if_exists,
            take_over=self.take_over,
            concurrent_writers=self.concurrent_writers,
            **more,
        )
        wanted = {field: value for field, value in wanted.items() if value is not None}
        return self.told(client, kind.label, ensure(client, kind, wanted, attempt))


def native(value: Any) -> Any:
    """A rendered value as Jinja's native types have it, for DAGs that render to text: ``"15"`` is 15."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value

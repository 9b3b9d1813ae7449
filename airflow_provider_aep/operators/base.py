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
    from airflow_provider_aep.onboarding.ensure import Body, Kind, Outcome


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
        self._tried_before = False

    def link_target(self) -> tuple[str, ...] | None:
        """Kind and id of what this task is about; known once it was found or made."""
        return self._object

    def pre_execute(self, context: Any) -> None:
        """Whether an earlier try of this task may have sent something that it did not live to hear of."""
        super().pre_execute(context)
        self._tried_before = context["ti"].try_number > 1

    # The client and the rules are imported when a task runs: parsing a DAG costs nothing of them.

    @contextmanager
    def aep(self) -> Generator[AepClient, None, None]:
        """A client for the length of the block; its errors become Airflow's."""
        from airflow_provider_aep.exceptions import airflow_errors
        from airflow_provider_aep.hooks.aep import AepHook

        with airflow_errors(), AepHook(self.aep_conn_id).get_conn() as client:
            yield client

    def ensure(self, client: AepClient, kind: Kind, wanted: Body) -> Any:
        """Make sure the object exists, and say so in one line; returns the task's result.

        :param wanted: the body of a create; what is ``None`` is not sent and not compared
        """
        from airflow_provider_aep.hooks.aep import settle
        from airflow_provider_aep.onboarding.ensure import ensure

        wanted = {field: value for field, value in wanted.items() if value is not None}
        outcome = ensure(client, kind, wanted, suspicious=self._tried_before, settle=settle())
        return self.told(client, kind.label, outcome)

    def told(self, client: AepClient, kind: str, outcome: Outcome) -> Any:
        """Say in one line what became of an object; returns the task's result."""
        self._object = (kind, outcome.id)
        changed = f" ({', '.join(outcome.changed)})" if outcome.changed else ""
        sandbox = client.settings.sandbox
        label = kind[:1].upper() + kind[1:]
        done = f"{outcome.action}{changed}"
        self.log.info("%s %r %s: %s in sandbox %s", label, outcome.name, done, outcome.id, sandbox)
        return outcome.result


def native(value: Any) -> Any:
    """A rendered value as Jinja's native types have it, for DAGs that render to text: ``"15"`` is 15."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value

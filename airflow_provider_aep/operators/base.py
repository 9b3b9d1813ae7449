"""Base classes of the operators: connection, client, errors, link, and the log line of an object's outcome."""

from __future__ import annotations

import ast
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_aep.links import AepLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_aep.client.client import AepClient
    from airflow_provider_aep.hooks.aep import AepHook
    from airflow_provider_aep.onboarding.reconcile.act import Outcome
    from airflow_provider_aep.onboarding.reconcile.resource_type import Desired, ResourceType


class AepOperator(BaseOperator):
    """Base of the operators that call AEP.

    :param aep_conn_id: id of an Airflow connection of type ``aep`` (templated)
    """

    template_fields: Sequence[str] = ("aep_conn_id",)
    operator_extra_links = (AepLink(),)
    ui_color = "#fbe9e7"
    renders_texts = True
    """Whether texts in the arguments may be templates; those of an onboarding file are not."""

    def __init__(self, *, aep_conn_id: str = "aep_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aep_conn_id = aep_conn_id
        self._link_target: tuple[str, ...] | None = None

    def link_target(self) -> tuple[str, ...] | None:
        """Return the label and the ids of the object that the task's link opens; ``None`` before they are known."""
        return self._link_target

    # Methods import the client and the engine, so that parsing a DAG does not load them.

    @contextmanager
    def aep(self) -> Generator[AepClient, None, None]:
        """Open a client for the duration of a block.

        :raises AepPermanentError: the block raised an ``AepError`` that no retry can resolve
        :raises AepRetryableError: the block raised an ``AepError`` that a retry may resolve
        """
        from airflow_provider_aep.exceptions import airflow_errors

        with airflow_errors(), self.hook.get_conn() as client:
            yield client

    @cached_property
    def hook(self) -> AepHook:
        """The hook of the task's connection, which is read once."""
        from airflow_provider_aep.hooks.aep import AepHook

        return AepHook(self.aep_conn_id)

    def render_template(self, content: Any, context: Context, jinja_env: Any = None, *args: Any) -> Any:
        """Render a template. A text without a template is kept: native rendering would make ``"1.10"`` 1.1."""
        if isinstance(content, str) and not self.renders_texts:
            return content
        if isinstance(content, str) and jinja_env is not None:
            names = ("variable_start_string", "block_start_string", "line_statement_prefix")
            marks = filter(None, (getattr(jinja_env, name) for name in names))
            if not any(mark in content for mark in marks):
                return content
        return super().render_template(content, context, jinja_env, *args)

    def log_outcome(self, client: AepClient, label: str, outcome: Outcome) -> Any:
        """Log the outcome of an object, and return the task's result.

        :param client: of the sandbox that has the object
        :param label: Adobe's noun for the object, such as ``source connection``
        :param outcome: of the engine
        """
        self._link_target = (label, outcome.id)
        changed = f"; changed fields: {', '.join(outcome.changed)}" if outcome.changed else ""
        subject = f"{label[:1].upper()}{label[1:]} {outcome.name!r} ({outcome.id})"
        self.log.info("%s: %s in sandbox %s%s", subject, outcome.action, client.settings.sandbox, changed)
        if outcome.remark:
            self.log.warning("%s: %s", subject, outcome.remark)
        if outcome.ignored:
            differing = ", ".join(outcome.ignored)
            self.log.warning('%s: left unchanged because if_exists="adopt"; differs in %s', subject, differing)
        if outcome.duplicates:
            ids = ", ".join(outcome.duplicates)
            self.log.warning(
                "Found duplicate %ss named %r: %s. They are unused and can be ignored", label, outcome.name, ids
            )
        return outcome.result


class AepReconcileOperator(AepOperator):
    """Base of the operators that reconcile one object, idempotently across crashes and lost responses.

    :param if_exists: ``update`` writes the managed fields that differ in an object of this onboarding. ``adopt`` uses
        an existing object unchanged. ``fail`` fails unless this task created the object
    :param take_over: whether to update an existing object that this onboarding did not create, and to mark it as
        created by this onboarding. By default, such an object is used if it matches the desired state. Otherwise the
        task fails
    :param adopt: whether an existing object that this onboarding did not create may be used if it matches
    :param concurrent_writers: whether another DAG or another Airflow deployment may create the same object at the
        same time. After a create, the task then waits ``[aep] creation_grace_period`` seconds and uses the oldest
        object
    """

    def __init__(
        self,
        *,
        if_exists: str = "update",
        take_over: bool = False,
        adopt: bool = True,
        concurrent_writers: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.if_exists = if_exists
        self.take_over = take_over
        self.adopt = adopt
        self.concurrent_writers = concurrent_writers

    def reconcile(
        self, client: AepClient, context: Context, resource_type: ResourceType[Any], desired: Desired, **terms: Any
    ) -> Any:
        """Reconcile the object with the desired state, log the outcome, and return the task's result.

        :param client: of the sandbox that has the object
        :param context: Airflow's context of the task
        :param resource_type: of the object
        :param desired: the desired state
        :param terms: further fields of :class:`~airflow_provider_aep.onboarding.reconcile.terms.Terms`
        """
        from airflow_provider_aep.onboarding.reconcile.act import reconcile
        from airflow_provider_aep.onboarding.reconcile.terms import Terms
        from airflow_provider_aep.runtime.task_attempt import attempt_of

        author_terms = Terms(
            if_exists=self.if_exists,
            take_over=self.take_over,
            adopt=self.adopt,
            concurrent_writers=self.concurrent_writers,
            **terms,
        )
        outcome = reconcile(client, resource_type, desired, attempt_of(context), author_terms)
        return self.log_outcome(client, resource_type.label, outcome)


def native(value: Any) -> Any:
    """Return a rendered value as a native type, also in a DAG that renders to text: ``"15"`` becomes 15.

    :param value: a rendered argument; other values than text are returned unchanged
    """
    if not isinstance(value, str):
        return value
    with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ast.literal_eval(value)
    if value.startswith(("{", "[")):  # as Jinja's filter tojson writes it
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def text(value: Any) -> Any:
    """Return a rendered value as text, also in a DAG that renders to native types: a table may be named ``2024``.

    :param value: a rendered argument; other values than whole numbers are returned unchanged
    """
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def optional_text(value: Any) -> Any:
    """Return a rendered value as :func:`text` does, and ``None`` for nothing, also if it was rendered to text."""
    return None if value in (None, "", "None") else text(value)

"""Operators for onboarding files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from airflow_provider_aep.operators.base import AepOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepApplyOnboardingOperator(AepOperator):
    """Apply an onboarding file in one task: create and change its objects, once each.

    A task group of single steps is :class:`~airflow_provider_aep.task_groups.AepOnboarding`. This operator is for
    hundreds of files: one mapped task a file needs less of Airflow.

    The connection of the environment is used, not ``aep_conn_id``.

    :param file: path of the onboarding file on the worker (templated); an absolute one does not depend on its folder
    :param env: name of the environment (templated)
    :return: ``{"onboarding", "written"}``: its name, and the number of objects that were written
    :raises AepPermanentError: the file has mistakes, or a person must decide; nothing is written
    """

    template_fields: Sequence[str] = (*AepOperator.template_fields, "file", "env")

    def __init__(self, *, file: str, env: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.env = env

    def execute(self, context: Context) -> dict[str, Any]:
        """Apply the file, and return the number of objects that were written."""
        from pathlib import Path

        from airflow_provider_aep.client.errors import AepConfigurationError
        from airflow_provider_aep.exceptions import airflow_errors
        from airflow_provider_aep.hooks.aep import AepHook
        from airflow_provider_aep.onboarding.spec import offline
        from airflow_provider_aep.onboarding.spec.apply import apply
        from airflow_provider_aep.onboarding.spec.loader import load
        from airflow_provider_aep.runtime.configuration import creation_grace_period
        from airflow_provider_aep.runtime.source_credentials import source_credentials

        with airflow_errors():
            loaded, problems = load([Path(self.file)], self.env)
            found = [*problems, *(problem for one in loaded for problem in offline.check(one))]
            if errors := [str(problem) for problem in found if problem.grade == "error"]:
                raise AepConfigurationError("The file has mistakes:\n" + "\n".join(errors), next_step="Correct them.")
            if not loaded:
                raise AirflowSkipException(f"{self.file} is for other environments than {self.env!r}")
            if len(loaded) != 1 or loaded[0].environment is None:
                raise AepConfigurationError(
                    f"{self.file} has {len(loaded)} onboardings for the environment {self.env!r}",
                    next_step="Name a file with one onboarding.",
                )
            one = loaded[0]
            assert one.environment is not None
            with AepHook(one.environment.connection).get_conn() as client:
                written = apply(
                    client,
                    one,
                    source_credentials,
                    lambda kind, outcome: self.log.info(
                        "%s %r (%s): %s", kind, outcome.name, outcome.id, outcome.action
                    ),
                    grace_period=creation_grace_period(),
                )
        return {"onboarding": one.spec.onboarding, "written": written}


class AepReportProblemsOperator(BaseOperator):
    """Fail, and list the mistakes of an onboarding file; a loader makes the task for a file that it cannot use.

    :param problems: a line for each mistake
    """

    def __init__(self, *, problems: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.problems = list(problems)

    def execute(self, context: Context) -> NoReturn:
        """Fail with the mistakes."""
        from airflow_provider_aep.exceptions import AepPermanentError

        raise AepPermanentError("\n".join(self.problems))

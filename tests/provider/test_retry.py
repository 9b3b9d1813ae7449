"""The retry policy: AEP's Retry-After becomes the delay."""

from datetime import timedelta

import pytest

pytest.importorskip("airflow.sdk.definitions.retry_policy")  # Airflow 3.3

from airflow.sdk import RetryDecision

from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError
from airflow_provider_aep.operators.target import AepCreateSchemaOperator
from airflow_provider_aep.retry_policy import AepRetryPolicy


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (AepRetryableError("throttled", retry_after=42), timedelta(seconds=42)),
        (AepRetryableError("throttled", retry_after=0), timedelta(0)),
        (AepRetryableError("throttled", retry_after=1e6), timedelta(minutes=10)),
    ],
)
def test_what_aep_says_is_the_delay(error, delay):
    decision = AepRetryPolicy(longest=timedelta(minutes=10)).evaluate(error, 1, 3)
    assert decision == RetryDecision.retry(delay=delay, reason=decision.reason)
    assert "AEP sent Retry-After" in decision.reason


@pytest.mark.parametrize("error", [AepRetryableError("unavailable"), AepPermanentError("no"), ValueError("other")])
def test_else_the_tasks_own_rules_hold(error):
    assert AepRetryPolicy().evaluate(error, 1, 3) == RetryDecision.default()


def test_it_survives_the_serialisation_of_a_dag():
    policy = AepRetryPolicy(longest=timedelta(minutes=7))
    assert AepRetryPolicy.deserialize(policy.serialize()).longest == timedelta(minutes=7)


def test_an_operators_error_carries_what_aep_said(aep):
    """All the way from the header of an answer that a create got."""
    aep.fault("POST */schemas", "answer", status=429, retry_after=300)
    operator = AepCreateSchemaOperator(task_id="t", title="X schema", retry_policy=AepRetryPolicy())
    with pytest.raises(AepRetryableError) as caught:
        operator.execute({})
    assert operator.retry_policy.evaluate(caught.value, 1, 3).retry_delay == timedelta(seconds=300)

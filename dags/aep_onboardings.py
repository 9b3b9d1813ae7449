"""One DAG for each onboarding file.

A file is in the folder `onboardings`. Its DAG creates the objects in AEP, and waits for
the first run of the flow.
"""

from airflow_provider_aep.task_groups import load_onboardings

load_onboardings(globals(), "../onboardings", env="dev")

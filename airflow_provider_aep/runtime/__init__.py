"""Run AEP code in Airflow: configuration, connections, task state, the poller and dataset events."""

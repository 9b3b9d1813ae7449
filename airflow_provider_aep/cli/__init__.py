"""The commands ``airflow aep`` and ``airflow-aep``."""

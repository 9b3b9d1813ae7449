"""What must exist in AEP, exactly once. Knows nothing of Airflow."""

"""Demo: an example DAG runs in a real Airflow against the AEP emulator. Run it with ``make demo``."""

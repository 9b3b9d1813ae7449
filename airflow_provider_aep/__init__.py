"""Apache Airflow provider for Adobe Experience Platform.

Airflow imports this package while it reads its own configuration, so nothing is imported here.
"""

__version__ = "0.1.0"

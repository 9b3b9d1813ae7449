"""Client for the HTTP API of Adobe Experience Platform, synchronous and asynchronous, without Airflow.

Each endpoint is a function that returns a :class:`~.call.Call`. A client sends it.
"""

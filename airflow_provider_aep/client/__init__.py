"""Adobe Experience Platform over HTTP, sync and async, without Airflow.

An endpoint is a function that returns a :class:`~.call.Call`, a value; a client sends it.
"""

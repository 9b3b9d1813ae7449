"""Processes over time: flow runs, ingestion, state transitions, and the source data that runs read."""

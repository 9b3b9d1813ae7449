"""Sensors that wait for flow runs, batches and endpoints of AEP, and check the health of flows."""

"""Triggers that wait for flow runs, and watch datasets, in the triggerer."""

"""Onboarding of sources: desired state, reconciler, resource types and lifecycle. It never imports Airflow."""

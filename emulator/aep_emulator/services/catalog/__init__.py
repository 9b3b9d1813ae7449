"""Catalog: datasets and batches."""

"""Data Prep: mapping sets."""

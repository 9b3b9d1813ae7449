"""The reconciler: compares desired and observed state, then creates, updates or replaces objects."""

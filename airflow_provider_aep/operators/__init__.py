"""Operators that onboard sources to AEP, run flows, and change or delete their objects."""

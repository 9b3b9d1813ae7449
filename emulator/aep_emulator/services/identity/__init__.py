"""Identity Service."""

"""The emulator's own API under ``/_emulator``: page, journal, clock, faults, snapshots, coverage."""

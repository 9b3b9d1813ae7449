"""Operations on existing objects: control of flows, Profile enablement and teardown."""

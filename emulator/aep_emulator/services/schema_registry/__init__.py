"""Schema Registry: schemas, their parts, and descriptors."""

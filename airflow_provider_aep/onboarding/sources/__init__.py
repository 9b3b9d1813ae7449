"""Sources: explore, flow specs and validation of credentials."""

"""The HTTP application: authentication, routing, faults and the journal."""

"""XDM: custom fields in short form, their changes, and the names of classes and field groups."""

"""Adobe's connection specs and global XDM parts, and the code that reads them."""

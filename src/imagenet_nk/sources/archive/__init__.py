"""source=archive: members of the official tars, read by HTTP range requests."""

"""source=manifest: the images of a published manifest."""

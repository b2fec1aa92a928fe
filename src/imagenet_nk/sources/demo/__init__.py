"""source=demo: generated pictures, served on loopback with every fault of the web."""

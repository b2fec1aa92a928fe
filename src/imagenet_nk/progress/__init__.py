"""What the person who waits sees: where a stage stands, and at the end what came of the run."""

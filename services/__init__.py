"""The services: each a folder of the same shape, known to the others by contracts only."""

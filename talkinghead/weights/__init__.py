"""Weights: the bundled checkpoints, the registry of third-party files with their hashes, and all licenses."""

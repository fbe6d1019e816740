"""Weights: the bundled checkpoints, third-party files with their hashes, and every license."""

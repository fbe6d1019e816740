"""Metrics: one file a kind, pure functions on landmarks, curves and images, and the metric networks."""

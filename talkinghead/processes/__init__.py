"""Processes: children, the cores that they may use, and how one starts, on every platform."""

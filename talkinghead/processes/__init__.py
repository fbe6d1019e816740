"""Child processes, and the cores that they may use, on every platform."""

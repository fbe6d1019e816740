"""The part of ComfyUI's interface that the nodes use: names and parameters alone (see latest.py)."""

"""Names of ComfyUI that the nodes use, see utils.py."""

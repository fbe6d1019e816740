"""Cutting a person out of a clip: segmentation, a matte that is steady in time, and other backgrounds."""

"""What an output says about how it was made: container tags, XMP, a C2PA manifest, a visible label."""

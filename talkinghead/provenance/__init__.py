"""What an output says about how it was made: metadata, C2PA manifest, visible label."""

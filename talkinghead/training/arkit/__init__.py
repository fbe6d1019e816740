"""Training of the map between ARKit's blendshapes and the face model."""

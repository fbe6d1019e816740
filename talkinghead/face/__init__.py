"""The face in a clip: landmarks, tracking, the 3D face model, reconstruction, region removal."""

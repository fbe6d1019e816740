"""Training the face update network of one anchor."""

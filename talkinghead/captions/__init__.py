"""Captions and visemes: what is read, and what a drawn mouth does, while a speech is heard."""

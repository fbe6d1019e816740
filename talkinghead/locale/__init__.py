"""Messages for people in their language; English is the source, and what programs read (`--json`) is never changed."""

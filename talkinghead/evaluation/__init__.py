"""Outputs scored against true videos, and the tables and the report of it."""

"""Evaluation: outputs scored against real videos, and the tables and report of it."""

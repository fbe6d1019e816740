"""Processes on every platform: children, cores, heaps, how one starts and how it ends."""

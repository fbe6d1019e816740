"""Batches of many videos: job files, the state of their jobs, and the executors that render them."""

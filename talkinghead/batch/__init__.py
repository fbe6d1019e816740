"""Many videos: job files, the state of a batch, and the engines that render it."""

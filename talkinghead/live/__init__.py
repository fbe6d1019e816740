"""A live anchor: it idles, speaks what it is given while that arrives, and falls silent when interrupted."""

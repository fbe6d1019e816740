"""Training the speech encoder and the expression predictor."""

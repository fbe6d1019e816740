"""From speech to expression coefficients: encoder, predictor, and the steps that follow the predictor."""

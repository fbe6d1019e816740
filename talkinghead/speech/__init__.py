"""From speech to expression coefficients: encoder, predictor, and what is applied behind the predictor."""

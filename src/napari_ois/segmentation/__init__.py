"""Floor 2: numpy in, numpy out - image to plane, predictor, sources of order. No Qt."""

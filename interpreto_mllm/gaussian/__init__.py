"""Games as Gaussian processes over coalitions: the mathematics behind the active perturbator and its aggregator."""

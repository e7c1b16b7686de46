"""What a model has learned to see: its features under a linear probe, and classes by Bayes' rule."""

"""Numbers about models and image sets, each with its conditions."""

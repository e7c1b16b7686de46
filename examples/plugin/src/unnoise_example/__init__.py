"""A sampler, a schedule, a source, a metric, a network and a recipe for unnoise."""

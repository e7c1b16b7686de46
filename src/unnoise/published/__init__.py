"""Networks of published autoencoders, whose modules have the names of the published weights."""

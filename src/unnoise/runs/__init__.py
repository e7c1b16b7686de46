"""Run folders: configuration, checkpoints, and the data and the model that belong to them."""

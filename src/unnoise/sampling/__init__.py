"""Images from a run: conditions, guidance, batches, files."""

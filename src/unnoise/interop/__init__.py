"""Models of other libraries, in and out: files are read as numbers and tensors only, never as code."""

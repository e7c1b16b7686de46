"""The loop that trains any objective, and what it keeps."""

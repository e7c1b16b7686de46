"""Runs that others can use: with a model card, in a folder or on a hub."""

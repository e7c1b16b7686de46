"""Recipes: commented TOML files, read by name."""

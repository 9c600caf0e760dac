"""Errors, files, caches, suggestions: the helpers that every other package uses."""

"""Files, caches and errors: what every room uses."""

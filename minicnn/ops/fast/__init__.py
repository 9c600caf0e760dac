"""The operations on a processor, fast."""

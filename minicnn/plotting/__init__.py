"""What figures look like, and the figures of a training."""

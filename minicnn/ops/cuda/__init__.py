"""The operations on a GPU, and in the simulator."""

"""Forward without backward: nothing is kept. Images are computed in groups that fit into memory
(groups.py), a large one in bands of its rows (bands.py), and a convolution together with what
follows it (fused_conv.py)."""

from .groups import infer

__all__ = ["infer"]

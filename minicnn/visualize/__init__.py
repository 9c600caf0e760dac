"""One file per way of looking at a network. Every function returns a Result: numbers and a picture.

Reading order: targets.py (what is asked), propagation.py (down to the pixels), deconvnet.py.
"""

from .deconvnet import Projection, deconvnet, receptive_box
from .targets import Unit

__all__ = ["Projection", "Unit", "deconvnet", "receptive_box"]

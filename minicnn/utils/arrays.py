"""NumPy's arrays by what they hold, as types.

A bare np.ndarray in a hint is an array of any backend, NumPy's, CuPy's or the simulator's, with
which layers, losses and optimizers compute in the dtype of their input. These are NumPy's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]  # probabilities, scores: float32 or float64
IntArray = NDArray[np.integer]  # class numbers, positions, counts
BoolArray = NDArray[np.bool_]  # masks: for each entry, whether
Pixels = NDArray[np.uint8]  # photos (H, Wd, 3), (H, Wd), or several of them (N, H, Wd, 3)

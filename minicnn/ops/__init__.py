"""The few operations that have no single NumPy call, each once for NumPy and once for CUDA.

Arrays in, arrays out, nothing kept; the type of the array says which of the two it is.
"""

from .activations import *
from .devices import *
from .im2col import *
from .pooling import *
from .updates import *
from .window import *

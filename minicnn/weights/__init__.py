"""Weights and models in and out of Keras' HDF5 files, and VGG16's own.

Reading order: opening.py (HDF5, .keras, JSON), reading.py (the arrays in a file), matching.py
(which layer of the file is which of the network), assigning.py (arrays into layers), config.py (the
architecture), writing.py, pretrained.py (VGG16's weights), onnx.py (export); hdf5.py and
attributes.py (safe reading of untrusted HDF5 files), file_kinds.py (what is no model).
"""

from .assigning import assign
from .opening import open_weights
from .pretrained import vgg16_base, vgg16_full
from .reading import open_entries, read_weights
from .reading_models import read_model
from .writing import new_h5, write, write_model, write_weights

__all__ = ["assign", "new_h5", "open_entries", "open_weights", "read_model", "read_weights",
           "vgg16_base", "vgg16_full", "write", "write_model", "write_weights"]

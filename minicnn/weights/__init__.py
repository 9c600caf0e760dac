"""Weights and models in and out of Keras' HDF5 files, and VGG16's own.

Reading order: reading.py (the arrays in a file), hdf5.py (safe reading of untrusted HDF5 files),
assigning.py (which layer an array belongs to), config.py (the architecture), writing.py,
pretrained.py (VGG16's weights), onnx.py (export).
"""

from .assigning import assign
from .pretrained import vgg16_base, vgg16_full
from .reading import open_weights, read_weights
from .writing import new_h5, read_model, write, write_model, write_weights

__all__ = ["assign", "new_h5", "open_weights", "read_model", "read_weights", "vgg16_base",
           "vgg16_full", "write", "write_model", "write_weights"]

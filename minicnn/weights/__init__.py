"""Weights and models in and out of Keras' HDF5 files, and VGG16's own.

Read reading.py (which arrays a file holds), hdf5.py (what is judged before it is taken from a
stranger's file), assigning.py (which layer each belongs to), config.py (the architecture),
writing.py, pretrained.py.
"""

from .assigning import assign
from .pretrained import vgg16_base, vgg16_full
from .reading import opened, read_weights
from .writing import new_h5, read_model, write, write_model, write_weights

__all__ = ["assign", "new_h5", "opened", "read_model", "read_weights", "vgg16_base", "vgg16_full",
           "write", "write_model", "write_weights"]

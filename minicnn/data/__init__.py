"""Photos in: from disk or from arrays, with their labels, cut to one size, in batches.

Reading order: images.py (one file becomes RGB pixels, one function cuts them to size),
datasets.py (photos with labels, split by class), batches.py (decoding ahead of need),
given.py (photos named on a command line), sample.py (the 2,000 photos that ship with the package).
"""

from .augment import Augment, Augmented
from .batches import batches
from .datasets import Dataset, ImageFolder
from .given import photo_paths, read_photos
from .images import read_image, resize_and_crop, was_turned
from .sample import photos, sample

__all__ = ["Augment", "Augmented", "Dataset", "ImageFolder", "batches", "photo_paths", "photos",
           "read_image", "read_photos", "resize_and_crop", "sample", "was_turned"]

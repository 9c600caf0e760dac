"""Photos in: from disk or from arrays, with their labels, cut to one size, in batches.

Reading order: images.py (one file becomes RGB pixels, one function cuts them to size),
datasets.py (photos with labels, split by class), batches.py (decoding ahead of need),
duplicates.py (photos that are there twice), splits.py (the parts of a folder, and their file),
given.py (photos named on a command line), sample.py (the 2,000 photos that ship with the package).
"""

from .augment import Augment, Augmented
from .batches import batches
from .datasets import Dataset
from .duplicates import Fingerprints, near_duplicates, perceptual_hashes
from .image_folder import ImageFolder
from .images import read_image, resize_and_crop, was_turned
from .paths import Photos, photo_paths, read_photos
from .sample import photos, sample
from .splits import (
    drawn_parts,
    read_split,
    readable,
    split_folders,
    split_parts,
    subsets,
    write_split,
)

__all__ = ["Augment", "Augmented", "Dataset", "Fingerprints", "ImageFolder", "Photos", "batches",
           "drawn_parts", "near_duplicates", "perceptual_hashes", "photo_paths", "photos",
           "read_image", "read_photos", "read_split", "readable", "resize_and_crop", "sample",
           "split_folders", "split_parts", "subsets", "was_turned", "write_split"]

"""Images with labels, from files or arrays: read, cropped to one size, split, in batches.

Reading order: images.py (from a file to RGB pixels, and to the input size), open_image.py (what a
file may cost), keras_resizing.py (to the input size as Keras does it), file_kinds.py (what it is if
it is no photo), datasets.py (images with labels), file_table.py (the paths of a million files),
listing.py (the photos of a folder, and all that is none), image_folder.py (one sub-folder per
class), batches.py (decoding ahead in threads), augment.py (random views), fingerprints.py and
duplicates.py (near-duplicate images), splits.py (train, validation and test), split_csv.py (in a
file), part_names.py (their usual names), paths.py (images named on a command line),
visible_region.py (which part of a photo a network sees), sample.py (the 2,000 images that ship with
the package).
"""

from .augment import Augment, Augmented
from .batches import batches
from .datasets import Dataset
from .duplicates import near_duplicates
from .fingerprints import Fingerprints, perceptual_hashes
from .image_folder import ImageFolder
from .images import is_rotated, read_image, resize_and_crop
from .paths import UnlabelledImages, find_photos, photo_paths, read_photos, readable_photos
from .sample import photos, sample
from .split_csv import read_split, write_split
from .splits import draw_parts, drop_unreadable, split_folders, split_parts, subsets

__all__ = ["Augment", "Augmented", "Dataset", "Fingerprints", "ImageFolder", "UnlabelledImages",
           "batches", "draw_parts", "drop_unreadable", "find_photos", "near_duplicates",
           "perceptual_hashes", "photo_paths", "photos", "read_image", "read_photos", "read_split",
           "readable_photos", "resize_and_crop", "sample", "split_folders",
           "split_parts", "subsets", "is_rotated", "write_split"]

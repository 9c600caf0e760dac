"""Makes vgg16_base.h5 from Keras' vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5.

    python -m minicnn.weights.make_base SOURCE.h5

float16 halves the file and changes block5_pool of a photo by 0.05 %
(minicnn/data/photos/chelsea.jpg, Euclidean norm); shuffle and gzip save another seventh. The same
source gives the same bytes with the same zlib, so anybody can check the SHA-256 in pretrained.py.
"""

from __future__ import annotations

import hashlib
import sys
from os import PathLike
from pathlib import Path

import numpy as np

from ..utils.errors import FileError, MiniCNNError
from .attributes import strings
from .hdf5 import array, member
from .opening import open_weights
from .pretrained import BASE

SOURCE_SHA256 = "6cab8b1d95d0fe327366995e8fd43b84789f3c982eee15b5070dac3e4ed9d803"
ATTRIBUTES = {
    "source": f"float16 of vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5, "
              f"SHA-256 {SOURCE_SHA256}",
    "licence": 'K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image '
               'Recognition", ICLR 2015; weights released under CC BY 4.0',
}


def make_base(source: str | PathLike, target: str | PathLike = BASE) -> str:
    """Writes target and returns its SHA-256. Raises FileError if source is another file."""
    import h5py

    if not Path(source).is_file():
        raise FileError(f"{source}: expected VGG16's weights without top, found no file.")
    received = hashlib.sha256(Path(source).read_bytes()).hexdigest()
    if received != SOURCE_SHA256:
        raise FileError(f"{source}: expected VGG16's weights without top, SHA-256 {SOURCE_SHA256}, "
                        f"received {received}.")
    # track_times and libver: nothing in the file depends on the day or on h5py's version.
    with (open_weights(source) as (old, _),
          h5py.File(target, "w", libver=("earliest", "v108")) as new):
        new.attrs.update({key: np.bytes_(value) for key, value in ATTRIBUTES.items()})
        layer_names = strings(old, "layer_names") or []
        new.attrs["layer_names"] = np.array(layer_names, "S")
        for layer in layer_names:
            names = strings(member(old, layer, source), "weight_names") or []
            group = new.create_group(layer)
            group.attrs["weight_names"] = np.array(names, "S") if names else np.empty(0)
            for name in names:
                values = array(old[layer], name, source).astype("<f2")
                storage = {} if values.ndim == 1 else {  # a position, (C, F), per chunk
                    "chunks": (1, 1, *values.shape[2:]), "shuffle": True,
                    "compression": "gzip", "compression_opts": 9}
                group.create_dataset(name, data=values, track_times=False, **storage)
    return hashlib.sha256(Path(target).read_bytes()).hexdigest()


if __name__ == "__main__":
    try:
        sys.stdout.write(make_base(*sys.argv[1:2]) + "\n")
    except (MiniCNNError, TypeError) as error:
        sys.exit(f"make_base: {error}")

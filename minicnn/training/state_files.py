"""Files of checkpoints: dicts and lists of arrays, numbers and text in HDF5, with checksums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..ops import to_cpu
from ..utils.errors import FileError
from ..weights import new_h5, open_weights
from ..weights.hdf5 import dataset, member, validate_sizes, values
from ..weights.opening import refusing_damage

FORMAT = 2  # 1 is that of the versions in which fit took checkpoints=…


def write_state(path: Path, state: dict) -> None:
    """Dicts (with names as keys) and lists of arrays, numbers and text into one HDF5 file. Raises
    FileError."""
    arrays: list[np.ndarray] = []

    def without_arrays(value: Any) -> Any:
        if isinstance(value, dict):
            return {"dict": {key: without_arrays(part) for key, part in value.items()}}
        if isinstance(value, (list, tuple)):
            return [without_arrays(part) for part in value]
        if isinstance(value, np.generic):
            return value.item()
        if np.ndim(value):
            array = to_cpu(value)
            if array.dtype not in (np.float32, np.float64):
                return {"numbers": array.tolist(), "dtype": array.dtype.str}
            arrays.append(array)
            return {"array": len(arrays) - 1}
        return value

    document = without_arrays({"format": FORMAT, **state})
    text = np.frombuffer(json.dumps(document).encode(), np.uint8)
    content = {"state": text, **{f"arrays/{k}": array for k, array in enumerate(arrays)}}
    with new_h5(path) as file:
        for name, array in content.items():  # with checksums, so that damage is noticed
            file.create_dataset(name, data=array, chunks=True, fletcher32=True)


def read_state(path: Path) -> dict:
    """What write_state has written, arrays as NumPy's. Raises FileError if the file is damaged, or
    of another format."""
    def with_arrays(value: Any) -> Any:
        if isinstance(value, list):
            return [with_arrays(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "dict" in value:
            return {key: with_arrays(part) for key, part in value["dict"].items()}
        if "numbers" in value:
            return np.array(value["numbers"], value["dtype"])
        data = dataset(file["arrays"], str(value["array"]), path)
        validate_sizes([data], path)
        return values(data)  # finite or not: a moment may overflow while the training goes on

    with refusing_damage(path), open_weights(path) as (file, _):
        document = member(file, "state", path)
        validate_sizes([document], path)
        state = with_arrays(json.loads(document[()].tobytes()))
    if not isinstance(state, dict) or state.pop("format", 1) != FORMAT:
        raise FileError(f"{path}: expected a checkpoint of this version of minicnn, received one "
                        f"of another version, from which training cannot go on. Begin a new run, "
                        f"or go on with the version that wrote it.")
    return state

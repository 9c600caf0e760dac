"""The cache folder, for files that can be fetched or built again: downloads, compiled kernels."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder that the environment variable MINICNN_CACHE names, or the system's cache."""
    if named := os.environ.get("MINICNN_CACHE"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("minicnn"))

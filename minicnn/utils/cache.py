"""Where files are kept that can be made or fetched again: downloads, compiled kernels."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder that MINICNN_CACHE names, or the system's folder for caches."""
    if named := os.environ.get("MINICNN_CACHE"):
        return Path(named)
    import pooch

    return Path(pooch.os_cache("minicnn"))

"""One family of errors. Each message says where, what was expected, what came and what to do.

Catch MiniCNNError to catch them all; the command line prints the sentence and exits with 2.
"""


class MiniCNNError(Exception):
    """Whatever minicnn refuses."""


class ArgumentError(MiniCNNError, ValueError):
    """An argument that does not fit: a name, an option, a dtype, a label."""


class ShapeError(ArgumentError):
    """An array whose shape does not fit."""


class FileError(MiniCNNError):
    """A file or folder that cannot be used: weights, models, photos, downloads."""

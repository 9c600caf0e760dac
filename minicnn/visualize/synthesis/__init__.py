"""Images made by gradient ascent (ascent.py): activation maximisation, dreams, inversion."""

from .dream import dream
from .inversion import inversion
from .maximise import maximise

__all__ = ["dream", "inversion", "maximise"]

"""Images made by gradient ascent (ascent.py): what excites a unit most, dreams, inversion."""

from .dream import dream
from .inversion import inversion
from .maximise import maximise

__all__ = ["dream", "inversion", "maximise"]

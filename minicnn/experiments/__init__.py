"""The analyses that train networks or classifiers; each returns a Result: numbers and a figure.

evolution.py (features over the epochs), ablation.py (which layers matter), probes.py (a linear
classifier per layer), transfer_curve.py (accuracy against the number of photos).
"""

from .ablation import ablation
from .evolution import evolution
from .probes import probes
from .transfer_curve import transfer_curve

__all__ = ["ablation", "evolution", "probes", "transfer_curve"]

"""The analyses that train networks of their own: each returns a Result, numbers and a picture.

evolution.py (features over the epochs), ablation.py (what each part is worth), probes.py (what each
layer knows), transfer_curve.py (accuracy against the number of photos).
"""

from .ablation import ablation
from .evolution import evolution
from .probes import probes
from .transfer_curve import transfer_curve

__all__ = ["ablation", "evolution", "probes", "transfer_curve"]

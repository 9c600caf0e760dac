"""One file per way of looking at a network. Every function returns a Result: numbers and a picture.

Reading order: targets.py (what is asked), propagation.py (down to the pixels), deconvnet.py and
top_patches.py (what excites a map), gradients.py, cam.py and occlusion.py (which pixels count),
sanity.py and faithfulness.py (is that true?); then, each for itself: feature_maps.py,
first_layer.py, activity.py, pca.py, correspondence.py (parts), invariance.py, evolution.py,
ablation.py, probes.py, transfer_curve.py; and maximise.py, dream.py, inversion.py (on ascent.py).
"""

from .ablation import ablation
from .activity import activity
from .attribution import Attribution
from .cam import grad_cam, grad_cam_pp, guided_grad_cam, layer_cam, score_cam
from .correspondence import correspondence
from .deconvnet import deconvnet, receptive_box
from .dream import dream
from .evolution import evolution
from .faithfulness import faithfulness
from .feature_maps import feature_maps, rank_maps
from .first_layer import first_layer
from .gradients import (
    gradient,
    gradient_x_input,
    guided_backprop,
    integrated_gradients,
    smooth_grad,
)
from .invariance import invariance
from .inversion import inversion
from .maximise import maximise
from .occlusion import occlusion
from .pca import pca
from .probes import probes
from .results import Result
from .sanity import randomisation_check
from .targets import Unit
from .top_patches import top_patches
from .transfer_curve import transfer_curve

__all__ = ["Attribution", "Result", "Unit", "ablation", "activity", "correspondence", "deconvnet",
           "dream", "evolution", "faithfulness", "feature_maps", "first_layer", "grad_cam",
           "grad_cam_pp", "gradient", "gradient_x_input", "guided_backprop", "guided_grad_cam",
           "integrated_gradients", "invariance", "inversion", "layer_cam", "maximise", "occlusion",
           "pca", "probes", "randomisation_check", "rank_maps", "receptive_box", "score_cam",
           "smooth_grad", "top_patches", "transfer_curve"]

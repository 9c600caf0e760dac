"""Analyses of what a network has learned. Every function returns a Result: numbers and a figure.

Reading order: target.py (what is analysed), propagation.py (from a score to the pixels); features/:
deconvnet.py and top_patches.py (what activates a map), then any other file; attribution/:
gradients.py, cam.py and occlusion.py (which pixels matter), sanity.py and faithfulness.py (tests of
such maps); synthesis/: images made by gradient ascent. The analyses that train networks are in
minicnn/experiments/.
"""

from .attribution import (
    Attribution,
    decision_map,
    faithfulness,
    grad_cam,
    grad_cam_pp,
    gradient,
    gradient_x_input,
    guided_backprop,
    guided_grad_cam,
    hires_cam,
    integrated_gradients,
    layer_cam,
    occlusion,
    randomisation_check,
    score_cam,
    smooth_grad,
)
from .features import (
    activity,
    correspondence,
    deconvnet,
    feature_maps,
    first_layer,
    invariance,
    pca,
    rank_maps,
    receptive_box,
    top_patches,
)
from .result import Result
from .synthesis import dream, inversion, maximise
from .target import Unit

__all__ = ["Attribution", "Result", "Unit", "activity", "correspondence", "decision_map",
           "deconvnet", "dream", "faithfulness", "feature_maps", "first_layer", "grad_cam",
           "grad_cam_pp", "gradient", "gradient_x_input", "guided_backprop", "guided_grad_cam",
           "hires_cam", "integrated_gradients", "invariance", "inversion", "layer_cam", "maximise",
           "occlusion", "pca", "randomisation_check", "rank_maps", "receptive_box", "score_cam",
           "smooth_grad", "top_patches"]

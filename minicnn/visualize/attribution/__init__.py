"""Which pixels matter for a score: gradients, class activation maps, occlusion; and two tests of
such maps (sanity.py, faithfulness.py)."""

from .cam import (
    decision_map,
    grad_cam,
    grad_cam_pp,
    guided_grad_cam,
    hires_cam,
    layer_cam,
    score_cam,
)
from .faithfulness import faithfulness
from .gradients import (
    gradient,
    gradient_x_input,
    guided_backprop,
    integrated_gradients,
    smooth_grad,
)
from .occlusion import occlusion
from .result import Attribution
from .sanity import randomisation_check

__all__ = ["Attribution", "decision_map", "faithfulness", "grad_cam", "grad_cam_pp", "gradient",
           "gradient_x_input", "guided_backprop", "guided_grad_cam", "hires_cam",
           "integrated_gradients", "layer_cam", "occlusion", "randomisation_check", "score_cam",
           "smooth_grad"]

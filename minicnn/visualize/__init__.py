"""One file per way of looking at a network. Every function returns a Result: numbers and a picture.

Reading order: targets.py (what is asked), propagation.py (down to the pixels), deconvnet.py and
top_patches.py (what excites a map), gradients.py, cam.py and occlusion.py (which pixels count),
sanity.py and faithfulness.py (is that true?), correspondence.py (parts).
"""

from .attribution import Attribution
from .cam import grad_cam, grad_cam_pp, guided_grad_cam, layer_cam, score_cam
from .correspondence import correspondence
from .deconvnet import deconvnet, receptive_box
from .faithfulness import faithfulness
from .gradients import (
    gradient,
    gradient_x_input,
    guided_backprop,
    integrated_gradients,
    smooth_grad,
)
from .occlusion import occlusion
from .results import Result
from .sanity import randomisation_check
from .targets import Unit
from .top_patches import top_patches

__all__ = ["Attribution", "Result", "Unit", "correspondence", "deconvnet", "faithfulness",
           "grad_cam", "grad_cam_pp", "gradient", "gradient_x_input", "guided_backprop",
           "guided_grad_cam", "integrated_gradients", "layer_cam", "occlusion",
           "randomisation_check", "receptive_box", "score_cam", "smooth_grad", "top_patches"]

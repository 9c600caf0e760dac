"""What the layers respond to: feature maps, the photos and pixels that activate them, the first
layer's kernels, corresponding parts, invariance."""

from .activity import activity
from .correspondence import correspondence
from .deconvnet import deconvnet, receptive_box
from .feature_maps import feature_maps, rank_maps
from .first_layer import first_layer
from .invariance import invariance
from .pca import pca
from .top_patches import top_patches

__all__ = ["activity", "correspondence", "deconvnet", "feature_maps", "first_layer", "invariance",
           "pca", "rank_maps", "receptive_box", "top_patches"]

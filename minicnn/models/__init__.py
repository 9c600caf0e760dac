"""Architectures with their preprocessing, and networks from files."""

from .load import load
from .small_cnn import SmallCNN, head, loss_for
from .vgg16 import VGG16, imagenet_classes

__all__ = ["SmallCNN", "VGG16", "head", "imagenet_classes", "load", "loss_for"]

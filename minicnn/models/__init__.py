"""Architectures with their preprocessing, and networks from files."""

from .saved import load
from .small import SmallCNN, head, loss_for
from .vgg16 import VGG16, imagenet_classes

__all__ = ["SmallCNN", "VGG16", "head", "imagenet_classes", "load", "loss_for"]

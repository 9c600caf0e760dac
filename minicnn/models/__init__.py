"""Architectures with their preprocessing, nothing else."""

from .small import SmallCNN, head, loss_for
from .vgg16 import VGG16, imagenet_classes

__all__ = ["SmallCNN", "VGG16", "head", "imagenet_classes", "loss_for"]

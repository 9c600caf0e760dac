"""Architectures with their preprocessing, networks from files, images cropped for them."""

from .image_input import crop_images, image_batches, image_size
from .load import load
from .small_cnn import SmallCNN, head, loss_for
from .vgg16 import VGG16, imagenet_classes

__all__ = ["SmallCNN", "VGG16", "crop_images", "head", "image_batches", "image_size",
           "imagenet_classes", "load", "loss_for"]

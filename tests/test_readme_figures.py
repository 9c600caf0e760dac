"""Tables of docs/gpu.md that a command computes are what the command prints today."""

from pathlib import Path

import numpy as np

import minicnn as mc
from benchmarks import gpu_memory, roofline
from minicnn.layers import base

PAGE = (Path(__file__).parent.parent / "docs" / "gpu.md").read_text("utf-8")


def test_the_device_memory_of_vgg16():
    assert gpu_memory.table(32) in PAGE


def test_the_roofline_of_each_layer(monkeypatch):
    monkeypatch.setattr(base, "initialize", lambda kind, shape, rng: np.zeros(shape, np.float32))
    assert roofline.table(mc.VGG16(weights=None), 1) in PAGE

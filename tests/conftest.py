"""What every test shares: quick, repeatable drawing of shapes, one thread, one generator."""

import hypothesis
import numpy as np
import pytest
import torch

torch.set_num_threads(1)
hypothesis.settings.register_profile("minicnn", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("minicnn")


@pytest.fixture
def rng():
    return np.random.default_rng(0)

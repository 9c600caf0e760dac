"""What a training does about an error that ends it, and about a second Ctrl-C."""

import sys

import pytest

import minicnn as mc
from minicnn.cli.run_session import resumable, without_lost_interrupts
from minicnn.training import Checkpoint
from minicnn.utils.errors import NotFiniteError


def test_a_nan_without_a_model_is_reported_as_it_is(tmp_path):
    error = NotFiniteError("vgg16: expected finite numbers, received NaN in its input.")
    with pytest.raises(NotFiniteError) as caught, \
            resumable(tmp_path, Checkpoint(tmp_path / "c", "vgg16")):
        raise error
    assert caught.value is error
    assert not list(tmp_path.glob("*.h5"))


def test_of_a_nan_in_training_the_last_finite_weights_are_kept(tmp_path):
    error = NotFiniteError("vgg16: expected finite numbers, received NaN in dW of fc.")
    error.model = mc.Sequential([mc.Dense(2)], (3,))
    with pytest.raises(NotFiniteError, match="last finite weights"), \
            resumable(tmp_path, Checkpoint(tmp_path / "c", "vgg16")):
        raise error
    assert mc.models.load(tmp_path / "last_finite.h5").shapes() == [(3,), (2,)]


class Dying:
    """Its destructor raises an error of this kind."""

    def __init__(self, kind):
        self.kind = kind

    def __del__(self):
        raise self.kind


def test_a_second_ctrl_c_that_falls_into_a_destructor_is_not_printed(monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: printed.append(args.exc_type))
    with without_lost_interrupts():
        Dying(KeyboardInterrupt)
        assert not printed
        Dying(ValueError)
    assert printed == [ValueError]
    Dying(KeyboardInterrupt)
    assert printed == [ValueError, KeyboardInterrupt]

"""What a training does about an error that ends it, and about a second Ctrl-C."""

import sys

import pytest

import minicnn as mc
from minicnn.cli.run_session import resumable, without_lost_interrupts
from minicnn.training import Checkpoint
from minicnn.utils.errors import FileError, NotFiniteError
from minicnn.utils.ranks import Ranks, working_with


class SecondOfTwo(Ranks):
    """Rank 1, without the other."""

    rank, size = 1, 2


def test_a_nan_without_a_model_is_reported_as_it_is(tmp_path):
    error = NotFiniteError("vgg16: expected finite numbers, received NaN in its input.")
    with pytest.raises(NotFiniteError) as caught, \
            resumable(tmp_path, Checkpoint(tmp_path / "c", "vgg16")):
        raise error
    assert caught.value is error
    assert not list(tmp_path.glob("*.h5"))


@pytest.mark.parametrize("seen,saved,advice", [
    (False, False, " If rank 0 has written a checkpoint, it stands. Go on with: minicnn train "
                   "--resume {run}"),
    (True, False, ""),
    (True, True, " The training up to the last checkpoint is saved. Go on with: minicnn train "
                 "--resume {run}")])
def test_a_rank_that_fails_need_not_see_the_folder_of_the_run(tmp_path, seen, saved, advice):
    run = tmp_path / "run"
    if seen:
        (run / "checkpoints").mkdir(parents=True)
    if saved:
        (run / "checkpoints/vgg16-00001-000000.h5").touch()
    with working_with(SecondOfTwo()), pytest.raises(FileError) as caught, \
            resumable(run, Checkpoint(run / "checkpoints", "vgg16")):
        raise FileError("photo.png: expected a photo, received noise.")
    assert str(caught.value) == ("photo.png: expected a photo, received noise."
                                 + advice.format(run=run))


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

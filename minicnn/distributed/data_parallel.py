"""DataParallel: a training whose batches are shared among the ranks of MPI."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Literal

import numpy as np

from ..data import Dataset
from ..layers import Layer
from ..losses import Loss
from ..model import Sequential
from ..ops import device_of, to_cpu, to_device
from ..training import ArrayDataset, Callback, Checkpoint, TrainingState
from ..training.batches import epoch_order, forward_batches
from ..training.callbacks import StopWhenAsked
from ..training.locate_nan import NOT_LOCATED
from ..training.state import AverageMeter
from ..training.thread_parallel import ThreadParallel
from ..utils.arrays import IntArray
from ..utils.errors import ArgumentError, NotFiniteError
from ..utils.live_line import no_live_lines
from ..utils.ranks import current_ranks, working_with
from .batch_share import BatchShare, split_batches
from .gradient_sums import GradientSums
from .launch import connect
from .mpi_ranks import MPIRanks
from .resources import allreduce_for
from .same_training import facts
from .shared_layers import shared_layer
from .shared_loss import SharedLoss

# What a rank may ask for, in order of urgency.
STOPS: tuple[Literal["epoch", "step"] | None, ...] = (None, "epoch", "step")


class RankParallel(ThreadParallel):
    """The network of this rank, which its threads share as ever; after backward the gradients are
    the sums over all ranks."""

    def __init__(self, network: Sequential, ranks: MPIRanks) -> None:
        super().__init__(network)
        self.ranks = ranks
        self.sums = GradientSums(self.layers, allreduce_for(ranks, network.device))

    def backward(self, dy: np.ndarray, input_gradient: bool = True,
                 layer_done: Any = None) -> np.ndarray | None:
        """dL/dy of this rank's samples -> dL/dx of them, or None."""
        dx = super().backward(dy, input_gradient, self.sums.start)
        with self.ranks.waiting():
            self.sums.wait()
        return dx

    def settle(self) -> None:
        """Returns once the sums are there, for which a GPU may still wait: here, where the step is
        queued already, a rank that has left is noticed."""
        with self.ranks.waiting():
            self.sums.allreduce.settle()


class DistributedState(TrainingState):
    """A TrainingState whose batches are shared among the ranks: in the same global batches, in the
    same order as with one process, each rank takes its part."""

    network: RankParallel

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.parallel = next(c for c in self.callbacks if isinstance(c, DataParallel))
        self.ranks, self.share = self.parallel.ranks, BatchShare()
        view = self.network.network
        layers = [shared_layer(layer, self.ranks, self.share) for layer in view.layers]
        self.network = RankParallel(view.view(layers, view.input_shape), self.ranks)
        self.loss = SharedLoss(self.loss, self.ranks, self.share, self.parallel.request)
        self.validation_loss = SharedLoss(self.validation_loss, self.ranks, self.share)

    def remaining_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(x, t): this rank's parts of the batches of this epoch that are not finished yet."""
        order = epoch_order(self.rng, self.train_data)[self.batch * self.batch_size:]
        for x, t in self.batches_of(self.train_data, order):
            self.x, self.t = x, t
            yield x, t

    def batches_of(self, data: Dataset | ArrayDataset, order: IntArray
                   ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(x, t): this rank's parts of the batches of these images."""
        own, size = split_batches(self.ranks, order, self.batch_size)
        for k, batch in enumerate(forward_batches(self.base, data, own, size)):
            self.share.set(self.ranks, min(self.batch_size, len(order) - k * self.batch_size))
            yield batch

    def end_batch(self, y: np.ndarray) -> None:
        """Counts the batch, once its sums are there."""
        self.network.settle()
        super().end_batch(y)

    def update_meter(self, meter: AverageMeter, loss: Loss, value: float, y: np.ndarray,
                     t: np.ndarray) -> None:
        """Adds a global batch to the averages."""
        if isinstance(loss, SharedLoss):
            meter.update(loss.mean, np.asarray(loss.correct_count), loss.count)

    def not_finite_error(self, x: np.ndarray, when: str, t: np.ndarray, loss: Loss,
                         training: bool = False) -> NotFiniteError:
        """The same error on all ranks, of the first one whose samples lead to such an array."""
        with self.share.paused():
            error = super().not_finite_error(x, when, t, loss, training)
        messages = self.ranks.gather(str(error))
        return NotFiniteError(next((message for message in messages if NOT_LOCATED not in message),
                                   messages[0]))


class DataParallel(Callback):
    """Shares every batch among the processes that mpiexec has started: each computes its part, the
    gradients are summed, and all make the same step.

        mpiexec -n 4 python script.py, with fit(…, callbacks=[mc.distributed.DataParallel()])

    Weights, history and checkpoints are those of a single process with the same batch_size, but for
    the order in which numbers are added, and the same bits in each run with as many ranks.
    Rank 0 alone draws progress and writes checkpoints. Ctrl-C, SIGTERM or SIGUSR1 on any rank, if
    nobody else handles it, ends the training on all after the same step, by KeyboardInterrupt.

    Raises, on all ranks, ArgumentError if they were given different data or settings, or if there
    are more ranks than images. Raises what connect raises.
    """

    early = True  # before FeatureCache, since the ranks share the frozen layers' features, too
    state_class = DistributedState

    def __init__(self) -> None:
        self.ranks = connect()
        self.stack = ExitStack()
        self.checkpoints: list[Checkpoint] = []
        self.requested = 0  # of STOPS, by a signal

    def request(self) -> int:
        """What this rank asks for, an index into STOPS."""
        return max([self.requested, *(STOPS.index(checkpoint.shared.requested)
                                      for checkpoint in self.checkpoints)])

    def on_train_begin(self, state: TrainingState) -> None:
        """Compares what the ranks are to train, and gives all the weights of rank 0."""
        ranks = self.ranks
        self.requested = 0
        self.checkpoints = [c for c in state.callbacks if isinstance(c, Checkpoint)]
        self.checkpoints += [c.checkpoint for c in state.callbacks if isinstance(c, StopWhenAsked)]
        for checkpoint in self.checkpoints:
            checkpoint.shared.by_ranks = True
        if current_ranks() is not ranks:
            self.stack.enter_context(working_with(ranks))
        if not ranks.is_first:
            self.stack.enter_context(no_live_lines())
        self.listen()
        ranks.check_same("fit", facts(state))
        if ranks.size > state.images_per_epoch:
            raise ArgumentError(f"fit: expected at most as many ranks as training photos, "
                                f"{state.images_per_epoch}, received {ranks.size}. Start fewer: "
                                f"mpiexec -n {min(state.images_per_epoch, state.batch_size)}.")
        with ranks.waiting():
            for layer in state.model.layers:
                send_weights(layer, ranks)

    def on_batch_end(self, state: TrainingState) -> None:
        """What a rank has asked for before this step, all know by now."""
        requested = state.loss.requested if isinstance(state.loss, SharedLoss) else 0
        if requested:
            for checkpoint in self.checkpoints:
                checkpoint.shared.stop_after = STOPS[requested]
            if not self.checkpoints:
                raise KeyboardInterrupt

    def on_train_end(self, state: TrainingState) -> None:
        """All is as before."""
        self.stack.close()

    def listen(self) -> None:
        """Signals that would end this process where it is, and leave the others waiting, ask the
        training to end instead."""
        if threading.current_thread() is not threading.main_thread():
            return
        for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
            number = getattr(signal, name, None)  # Windows has no SIGUSR1
            if number is None:
                continue
            before = signal.getsignal(number)
            if before in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self.on_signal)
                self.stack.callback(signal.signal, number, before)

    def on_signal(self, number: int, frame: object) -> None:
        """After this step."""
        self.requested = STOPS.index("step")


def send_weights(layer: Layer, ranks: MPIRanks) -> None:
    """The parameters of rank 0's layer, in the same arrays on all ranks."""
    for p in layer.params.values():
        values = np.ascontiguousarray(to_cpu(p))
        ranks.comm.Bcast(values)
        if not ranks.is_first:
            p[...] = to_device(values, device_of(p))

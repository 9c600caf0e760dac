"""TransferConfig: the options of a transfer training."""

from __future__ import annotations

from dataclasses import dataclass

from ..data import Augment, Augmented, Dataset
from ..utils.errors import ArgumentError, check_int
from ..utils.language import gettext as _
from .callbacks import SCHEDULES

BLOCKS = tuple(f"block{k}" for k in range(1, 6))  # of VGG16


@dataclass(frozen=True)
class TransferConfig:
    """How transfer trains; every field is an option of `minicnn train` and is stored in run.json.

    size: side of the square that photos are cropped to. cut: the last layer of VGG16 that is kept;
    None: block4_pool, or the pooling after the block that `finetune` names.
    lr: Adam's learning rate for the head; None: initial_learning_rate chooses it, or with find_lr
    the loss while the learning rate grows.
    augment: as Augment.parse takes it; views: how many random views of each photo.
    schedule: of SCHEDULES. patience: early stopping, needs validation photos.
    dropout: rate before the head. weight_decay: λ of the penalty λ/2 · |W|² on the head.
    class_weights: each class counts as if it had as many photos as the mean class.
    finetune: a block ("block5") that is trained, too, after the head, for finetune_epochs with the
    learning rate finetune_lr, the head with its own.
    memory_budget: megabytes (10⁶) of memory for features; beyond that they go to a temporary file.
    """

    size: int = 128
    cut: str | None = None
    epochs: int = 60
    batch_size: int = 32
    lr: float | None = None
    find_lr: bool = False
    seed: int = 0
    augment: str = ""
    views: int = 8
    schedule: str = "constant"
    patience: int | None = None
    dropout: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    class_weights: bool = False
    finetune: str = ""
    finetune_epochs: int = 10
    finetune_lr: float = 1e-5
    memory_budget: int = 1000

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ArgumentError(f"schedule: expected one of {', '.join(SCHEDULES)}, received "
                                f"{self.schedule!r}.")
        if self.finetune and self.finetune not in BLOCKS:
            raise ArgumentError(f"finetune: expected one of {', '.join(BLOCKS)}, received "
                                f"{self.finetune!r}.")
        if self.find_lr and self.lr is not None:
            raise ArgumentError(f"find_lr: expected no lr beside it, received {self.lr!r}. Leave "
                                f"one out.")
        if self.finetune and block_number(self.last_kept) < block_number(self.finetune):
            raise ArgumentError(f"finetune: expected a cut after {self.finetune}, received "
                                f"{self.cut!r}, which cuts it away. Leave the cut out.")
        check_int(self.memory_budget, "memory_budget", least=0)
        Augment.parse(self.augment)

    @property
    def last_kept(self) -> str:
        """The layer of the cut."""
        return self.cut or f"{self.finetune or 'block4'}_pool"

    def finetunes(self, layer: str) -> bool:
        """Whether the second phase trains the layer of this name: of the block, or after it."""
        return bool(self.finetune) and block_number(layer) >= block_number(self.finetune)

    def augmented(self, train: Dataset) -> Dataset:
        """What the network is given of these photos: random views of them, or themselves."""
        if not self.augment:
            return train
        return Augmented(train, Augment.parse(self.augment), self.views, self.seed)


def block_number(name: str) -> int:
    """The block of VGG16 that the layer is of, 1 to 5; 6 for a layer of the head, after them all.
    """
    block = name.partition("_")[0]
    return BLOCKS.index(block) + 1 if block in BLOCKS else len(BLOCKS) + 1


class Setting(str):
    """A note of a run that says what was chosen, such as the learning rate, and warns of nothing.
    """

    __slots__ = ()


def learning_rate_note(config: TransferConfig, lr: float) -> Setting:
    """The learning rate of the head, and where it comes from."""
    if config.find_lr:
        return Setting(_("learning rate, where the loss fell fastest: {rate:.3g}", rate=lr))
    if config.lr is None:
        return Setting(_("learning rate, measured: {rate:.3g}", rate=lr))
    return Setting(_("learning rate, as given: {rate:.3g}", rate=lr))

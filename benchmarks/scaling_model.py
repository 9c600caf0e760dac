"""The α-β model of synchronous data parallelism: how long a training step takes on p ranks.

Allreduce of n bytes on p ranks, at the end of which every rank has the sum. A message of m bytes
takes α + m β seconds, adding m bytes m γ; all ranks send and receive at the same time:

    ring      p − 1 steps that add and p − 1 that copy, each with a chunk of n / p bytes:
              2 (p − 1) α + 2 (p − 1)/p n β + (p − 1)/p n γ
    tree      a binomial tree to rank 0 and back, each step with the whole vector:
              2 ⌈log₂ p⌉ (α + n β) + ⌈log₂ p⌉ n γ
    halving   Rabenseifner's: recursive halving, n/2, n/4, … bytes, then recursive doubling; p a
              power of two: 2 log₂ p α + 2 (p − 1)/p n β + (p − 1)/p n γ

Sources: Thakur, Rabenseifner & Gropp, "Optimization of collective communication operations in
MPICH", 2005; Patarasu & Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
workstations", 2009 (the ring, and that no algorithm sends less).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log2

Allreduce = Callable[[int, float], float]  # ranks, bytes -> seconds


@dataclass(frozen=True)
class Link:
    """The link of each rank. latency: α in seconds; gigabits: 10⁹ bit/s, both ways at once;
    adding: γ, seconds per byte of adding what has arrived to what is there."""

    latency: float
    gigabits: float
    adding: float = 0.0

    @property
    def beta(self) -> float:
        """Seconds per byte."""
        return 8e-9 / self.gigabits


def ring(link: Link, p: int, n: float) -> float:
    """Seconds of Allreduce of n bytes on p ranks around a ring."""
    return 2 * (p - 1) * link.latency + (p - 1) / p * n * (2 * link.beta + link.adding)


def tree(link: Link, p: int, n: float) -> float:
    """The same by a binomial tree: reduce, then broadcast."""
    depth = ceil(log2(p))
    return 2 * depth * (link.latency + n * link.beta) + depth * n * link.adding


def halving(link: Link, p: int, n: float) -> float:
    """The same by Rabenseifner's algorithm; raises ValueError unless p is a power of two."""
    if p & (p - 1):
        raise ValueError(f"halving: expected a power of two as the number of ranks, received {p}.")
    return 2 * log2(p) * link.latency + (p - 1) / p * n * (2 * link.beta + link.adding)


ALGORITHMS = {"ring": ring, "tree": tree, "halving": halving}


@dataclass(frozen=True)
class Line:
    """Seconds for a number of photos: those of any number, and those of each photo."""

    fixed: float
    per_photo: float

    def __call__(self, photos: float) -> float:
        return self.fixed + self.per_photo * photos

    @classmethod
    def through(cls, few: int, few_seconds: float, many: int, many_seconds: float) -> "Line":
        """The line through two measurements; where noise lets it slope or begin below 0, the
        larger one alone counts, in proportion to the photos."""
        per_photo = (many_seconds - few_seconds) / (many - few)
        fixed = few_seconds - few * per_photo
        if per_photo < 0 or fixed < 0:
            return cls(0.0, many_seconds / many)
        return cls(fixed, per_photo)


@dataclass(frozen=True)
class Block:
    """Gradients that are added up by one Allreduce. share: of the time of backward, from the
    block before until these gradients are there."""

    bytes: int
    share: float


@dataclass(frozen=True)
class Compute:
    """A training step without communication. blocks: in backward's order, the last layer first.
    update: seconds of the optimizer's step."""

    forward: Line
    backward: Line
    update: float
    blocks: tuple[Block, ...]

    @property
    def bytes(self) -> int:
        """Of all gradients."""
        return sum(block.bytes for block in self.blocks)

    def seconds(self, photos: float) -> float:
        """Of a step on a single rank."""
        return self.forward(photos) + self.backward(photos) + self.update

    def faster(self, factor: float) -> "Compute":
        """The same on a rank that computes so many times as fast."""
        def line(old: Line) -> Line:
            return Line(old.fixed / factor, old.per_photo / factor)
        return Compute(line(self.forward), line(self.backward), self.update / factor, self.blocks)


def merge(blocks: Sequence[Block], smallest: int) -> list[Block]:
    """Neighbouring blocks together until each has at least so many bytes, but for the last one."""
    merged: list[Block] = []
    size, share = 0, 0.0
    for block in blocks:
        size, share = size + block.bytes, share + block.share
        if size >= smallest:
            merged.append(Block(size, share))
            size, share = 0, 0.0
    return [*merged, Block(size, share)] if size else merged


def step_seconds(compute: Compute, photos: float, p: int, allreduce: Allreduce,
                 blocks: Sequence[Block] = ()) -> float:
    """Seconds of a training step on p ranks with so many photos each.

    Without blocks, Allreduce of all gradients follows backward. With blocks they overlap: each
    begins as soon as backward has computed it and the block before is through.
    """
    if p == 1:
        return compute.seconds(photos)
    if not blocks:
        return compute.seconds(photos) + allreduce(p, compute.bytes)
    backward = compute.backward(photos)
    ready = free = 0.0  # seconds since backward began
    for block in blocks:
        ready += block.share * backward
        free = max(free, ready) + allreduce(p, block.bytes)
    return compute.forward(photos) + max(backward, free) + compute.update

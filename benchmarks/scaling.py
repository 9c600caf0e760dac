"""How training scales from 1 to 1,024 ranks: COMPUTED by the α-β model from what one rank measures.

    python -m benchmarks.scaling                    measures this machine (a minute), then computes
    python -m benchmarks.scaling --save rank.json   and keeps what was measured
    python -m benchmarks.scaling --compute rank.json --faster 100     of a rank 100 times as fast
    python -m benchmarks.scaling --cases SmallCNN --ranks 1 2 4 --latency 50 2

Three cases: VGG16's base trained whole, the head alone on features that are computed once, and
minicnn's small network. Weak scaling: each rank has --photos in a batch, and the figure is the
efficiency, the time of a step on one rank divided by that on p, in per cent. Strong scaling: the
batch has --batch photos in all, and the figure is the speed-up. Each cell has two: Allreduce after
backward → bucket by bucket while backward goes on. Formulas and sources:
benchmarks/scaling_model.py; Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1
hour", 2017, on how large a batch may become, and on overlapping Allreduce with backward.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import scaling_compute
from benchmarks.__main__ import machine
from benchmarks.load import LIMIT, read_clocks, share_of_others
from benchmarks.scaling_model import ALGORITHMS, Compute, Link, merge, step_seconds
from minicnn.distributed.gradient_sums import BUCKET_BYTES
from minicnn.ops.fast import threads

GIGABITS = (10, 100)
RANKS = [2 ** k for k in range(11)]


def power_of_two(text: str) -> int:
    """The number of ranks that a text says; raises ValueError for another."""
    number = int(text)
    if number < 1 or number & (number - 1):
        raise ValueError(text)
    return number


def positive(kind: type, text: str) -> float:
    """A number above 0 of that kind; raises ValueError for another."""
    number = kind(text)
    if not number > 0:
        raise ValueError(text)
    return number


def cells(compute: Compute, photos: int, p: int, links: list[Link], block: int,
          figure: Callable[[float], str]) -> list[str]:
    """A row's cells, link by link and algorithm by algorithm: figure(seconds) without overlap →
    with it."""
    blocks, row = merge(compute.blocks, block), []
    for link in links:
        for algorithm in ALGORITHMS.values():
            after, during = (step_seconds(compute, photos, p, partial(algorithm, link), together)
                             for together in ((), blocks))
            row.append(f"{figure(after)} → {figure(during)}")
    return row


def weak(compute: Compute, photos: int, p: int, links: list[Link], block: int) -> list[str]:
    """The row of p ranks with so many photos each: efficiencies in per cent."""
    alone = compute.seconds(photos)
    return cells(compute, photos, p, links, block, lambda s: f"{100 * alone / s:.0f}")


def strong(compute: Compute, batch: int, p: int, links: list[Link], block: int) -> list[str]:
    """The row of p ranks that share so many photos, the largest share counting: speed-ups."""
    alone, share = compute.seconds(batch), -(-batch // p)
    return cells(compute, share, p, links, block, lambda s: f"{alone / s:.3g}")


def table(title: str, rows: dict[int, list[str]]) -> str:
    """In Markdown, below its title."""
    heads = [f"{algorithm}, {gigabits} Gbit/s" for gigabits in GIGABITS for algorithm in ALGORITHMS]
    lines = [f"**{title}**", "", f"| ranks | {' | '.join(heads)} |",
             f"|{' --- |' * (1 + len(heads))}"]
    lines += [f"| {p:,} | {' | '.join(row)} |" for p, row in rows.items()]
    return "\n".join(lines)


def assumptions(args: argparse.Namespace, measured: dict) -> str:
    """What the figures rest on."""
    alphas = ", ".join(f"{latency:g} µs at {gigabits} Gbit/s"
                       for latency, gigabits in zip(args.latency, GIGABITS, strict=True))
    faster = f", {args.faster:g} times as fast" if args.faster != 1 else ""
    adding = 1e9 * measured["adding"] / args.faster
    return f"""COMPUTED by the α-β model; only what a single rank does was measured. ASSUMED:
- A rank is a machine as the one below{faster}.
- All are equally fast, and no rank ever waits for photos, for the disk or for a program that runs
  beside it.
- Each rank has a link of its own, both ways at once, and the switch carries all of them. A message
  of n bytes takes α + n β seconds: α = {alphas}; β by the bandwidth.
- Adding n bytes that have arrived takes n γ seconds, γ = {adding:.3g} ns.
- Gradients are float32. With overlap, Allreduce gets them in backward's order, in buckets of at
  least {args.bucket:.3g} MB, one after the other, and takes nothing from the processor. What fits
  into a single bucket gains nothing.
- A step's time is a line in the number of photos, through two measurements; a layer's share of
  backward is measured layer by layer.
- How many steps a good network takes is left out: a large batch needs other learning rates
  (Goyal et al. 2017; lesson 12)."""


def describe(name: str, compute: Compute, photos: int) -> str:
    """What was measured of a case."""
    forward, backward = compute.forward, compute.backward
    return (f"{name}: {compute.bytes / 1e6:.2f} MB of gradients; forward {1e3 * forward.fixed:.3g} "
            f"+ {1e3 * forward.per_photo:.3g} ms a photo, backward {1e3 * backward.fixed:.3g} + "
            f"{1e3 * backward.per_photo:.3g} ms a photo, optimizer {1e3 * compute.update:.3g} ms; "
            f"{compute.seconds(photos):.3g} s for {photos} photos")


def feature_line(args: argparse.Namespace, compute: Compute, features: float,
                 links: list[Link]) -> str:
    """Of a whole transfer job with frozen base, on as many ranks as asked for at most."""
    p, N = max(args.ranks), 1000  # photos a rank
    once, steps = N * features / args.faster, args.epochs * -(-N // args.photos)
    jobs = []
    for link, gigabits in zip(links, GIGABITS, strict=True):
        step = min(step_seconds(compute, args.photos, p, partial(algorithm, link))
                   for algorithm in ALGORITHMS.values())
        alone = once + steps * compute.seconds(args.photos)
        jobs.append(f"{100 * alone / (once + steps * step):.0f} % at {gigabits} Gbit/s")
    return (f"With the features, {1e3 * features / args.faster:.3g} ms a photo, once and without a "
            f"message: {N:,} photos a rank and {args.epochs} epochs\nhave an efficiency of "
            f"{', '.join(jobs)} on {p:,} ranks by the fastest algorithm.")


def given(args: argparse.Namespace) -> dict:
    """What the file of --compute says; ends the program with a sentence if that is not enough."""
    try:
        measured = scaling_compute.read(args.compute)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemExit(f"{args.compute}: expected a file that --save has written, received "
                         f"{type(error).__name__}: {error}") from None
    if missing := [name for name in args.cases if name not in measured["cases"]]:
        raise SystemExit(f"{args.compute}: expected {', '.join(missing)}, found "
                         f"{', '.join(measured['cases'])}. Choose by --cases.")
    return measured


def measure(cases: list[str], size: int) -> dict:
    """What this machine does: texts, numbers, and under "cases" {name: Compute}."""
    before = read_clocks()
    measured = {"machine": machine(), "size": size, "adding": scaling_compute.adding_seconds(),
                "features": scaling_compute.feature_seconds(size) if "head only" in cases else None,
                "cases": {name: scaling_compute.measure(name, size) for name in cases}}
    return {**measured, "others": share_of_others(before, read_clocks(), threads.cores())}


def arguments_of(words: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling",
                                     description=__doc__.splitlines()[0])
    names = list(scaling_compute.CASES)
    number, count = partial(positive, float), partial(positive, int)
    number.__name__, count.__name__ = "number above 0", "whole number above 0"
    power_of_two.__name__ = "power of two"
    parser.add_argument("--cases", nargs="+", choices=names, default=names, metavar="NAME",
                        help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--ranks", nargs="+", type=power_of_two, default=RANKS, metavar="P",
                        help="powers of two (default: 1 … 1024)")
    parser.add_argument("--photos", type=count, default=32, help="of a rank, weak (default: 32)")
    parser.add_argument("--batch", type=count, default=1024, help="in all, strong (default: 1024)")
    parser.add_argument("--size", type=count, default=224, help="VGG16's pixels (default: 224)")
    parser.add_argument("--latency", nargs=2, type=number, default=[20, 2], metavar="µs",
                        help="α at 10 and at 100 Gbit/s (default: 20, as TCP; 2, as InfiniBand)")
    parser.add_argument("--bucket", type=number, default=BUCKET_BYTES / 1e6, metavar="MB",
                        help="least size of a bucket with overlap (default: "
                             f"{BUCKET_BYTES / 1e6:.3g}, as mc.distributed has it)")
    parser.add_argument("--epochs", type=count, default=60, help="of a head (default: 60)")
    parser.add_argument("--faster", type=number, default=1, metavar="TIMES",
                        help="assume ranks that compute so many times as fast (default: 1)")
    parser.add_argument("--compute", type=Path, metavar="FILE",
                        help="what --save wrote, instead of measuring")
    parser.add_argument("--save", type=Path, metavar="FILE", help="writes what was measured")
    args = parser.parse_args(words)
    args.ranks = sorted(set(args.ranks))
    if args.batch < max(args.ranks):
        parser.error(f"argument --batch: expected a photo for each of {max(args.ranks)} ranks, "
                     f"received {args.batch}")
    return args


def main(words: list[str] | None = None) -> None:
    """Prints the assumptions, what was measured, and two tables a case."""
    args = arguments_of(words)
    measured = given(args) if args.compute else measure(args.cases, args.size)
    if args.save:
        scaling_compute.save(args.save, measured)
    links = [Link(1e-6 * latency, gigabits, measured["adding"] / args.faster)
             for latency, gigabits in zip(args.latency, GIGABITS, strict=True)]
    print(assumptions(args, measured))
    source = f"as {args.compute} says" if args.compute else "now"
    print(f"\nMEASURED, {source}; VGG16 with photos of {measured['size']} pixels:")
    for what, text in measured["machine"].items():
        print(f"{what}: {text}")
    if measured["others"] > LIMIT:
        print(f"NOT VALID: other processes took {measured['others']:.0%} of the processor.")
    for name in args.cases:
        print(describe(name, measured["cases"][name], args.photos))
    for name in args.cases:
        compute, block = measured["cases"][name].faster(args.faster), int(1e6 * args.bucket)
        for title, row, photos in (
                (f"{name}, weak: efficiency in %, {args.photos} photos a rank", weak, args.photos),
                (f"{name}, strong: speed-up, {args.batch} photos in all", strong, args.batch)):
            print("\n" + table(title, {p: row(compute, photos, p, links, block)
                                       for p in args.ranks}))
        if name == "head only":
            print("\n" + feature_line(args, compute, measured["features"], links))


if __name__ == "__main__":
    main()

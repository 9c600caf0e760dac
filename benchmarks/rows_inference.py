"""Rows: VGG16's base at 224 pixels, time, memory and the share of the peak."""

import numpy as np

import minicnn as mc
from benchmarks import engines, flops
from benchmarks.measuring import (
    Comparison,
    Row,
    best_peer,
    fastest,
    in_turn,
    process,
    seconds,
    sgemm,
)
from minicnn.ops.fast import threads

MEMORY_PAIRS = 3  # at most: peaks hardly differ from run to run, and each takes a process


def network_and_photos(N):
    """(VGG16's base, N photos of random pixels as the network gets them)."""
    model = mc.VGG16(include_top=False, input_shape=(224, 224, 3))
    return model, np.random.default_rng(0).normal(size=(N, 224, 224, 3)).astype(np.float32)


def rows_of_peers(case, comparisons, unit, scale=1.0):
    """A row for each of {peer: Comparison}, and one for the peer that is hardest to beat."""
    def note(comparison):
        return (f"{comparison.ours * scale:.3g} {unit} against "
                f"{comparison.theirs * scale:.3g} {unit}")

    for name, comparison in comparisons.items():
        yield Row(case, name, comparison, note(comparison))
    if len(comparisons) > 1:
        best = best_peer(comparisons)
        yield Row(case, f"best of {len(comparisons)}: {best}", comparisons[best],
                  note(comparisons[best]))


def speed(N):
    """A function for the rows of N photos at a time."""
    def rows(args, folder):
        model, x = network_and_photos(N)
        expected, workers, peers = model.forward(x, keep=False), threads.num_threads(), {}
        for peer in engines.installed(engines.PEERS):
            runs = engines.runs(peer, model, x, workers, expected)
            best = fastest(runs)
            peers[peer.title(best)] = runs[best]
        comparisons = in_turn(lambda: model.forward(x, keep=False), peers, args.pairs)
        yield from rows_of_peers(f"VGG16 base, inference, 224 px, batch {N}", comparisons, "s")
    return rows


def memory(N):
    """A function for the rows of the peak memory of N photos at a time, above that of the loaded
    weights; every measurement is a process of its own."""
    def rows(args, folder):
        variants = {name: peer for peer in engines.installed(engines.PEERS)
                    for name in engines.variants_for(peer, N)}
        runs = [{engine: process("inference", engine, folder, N)[1]
                 for engine in ("minicnn", *variants)}
                for _ in range(min(args.pairs, MEMORY_PAIRS))]
        comparisons = {}
        for peer in engines.installed(engines.PEERS):
            peaks = {name: Comparison(tuple((run["minicnn"], run[name]) for run in runs))
                     for name in variants if variants[name] is peer}
            best = best_peer(peaks)
            comparisons[peer.title(best)] = peaks[best]
        yield from rows_of_peers(f"VGG16 base, 224 px, batch {N}: peak memory above the weights",
                                 comparisons, "MB", 1e-6)
    return rows


def share(args, folder):
    """Operations a second of a forward pass of 8 photos / those of a large product in NumPy. Each
    is measured directly after a call of its own, which leaves its arrays in the caches: what a
    product of 200 MB has left there instead costs the forward pass a sixth of its time."""
    (model, x), (product, product_flops) = network_and_photos(8), sgemm()
    count = flops.forward(model, len(x))

    def run():
        return model.forward(x, keep=False)

    def seconds_of_second_call(function):
        function()
        return seconds(function)

    times = in_turn(run, {"sgemm": product}, args.pairs, seconds_of_second_call)["sgemm"]

    def shares(operations):
        return Comparison(tuple((operations / ours / 1e9, product_flops / theirs / 1e9)
                                for ours, theirs in times.pairs))

    done, products, definition = map(shares, (count.done, count.products, count.definition))
    yield Row("share of the sgemm peak, batch 8 (larger is better)", "sgemm of NumPy", done,
              f"{count.done / 1e9:.0f} GFLOP really done, {done.ours:.3g} GFLOP/s of "
              f"{done.theirs:.3g}; without the transforms {products.ratio:.0%}, by the definition "
              f"({count.definition / 1e9:.0f} GFLOP) {definition.ratio:.0%}")

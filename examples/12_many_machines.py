r"""Lesson 12. Many machines, one gradient.

Question
    Four machines hold a quarter of the photos each. How do they train a single network together,
    what do they say to each other, and how much faster is it?

Formula
    The loss $L$ of a batch of $N$ photos is a mean, hence so is its gradient. If rank $r$ (machine
    $r$ of $p$) has $n_r$ of them, whose mean loss is $L_r$,

    $$L = \sum_r \frac{n_r}{N} \, L_r, \qquad \nabla L = \sum_r \frac{n_r}{N} \, \nabla L_r$$

    - Allreduce: afterwards every rank has this sum. A message of $n$ bytes takes $α + n β$ seconds,
      $α$ the latency, $1 / β$ the bandwidth; then a ring and a tree of ranks take
      $T_r = 2 (p − 1) α + 2 \frac{p − 1}{p} n β$ and $T_t = 2 ⌈\log_2 p⌉ (α + n β)$.
    - Strong scaling, the same batch on more ranks (Amdahl), with a serial share $s$ of the time on
      one rank: the speed-up is $1 / (s + (1 − s) / p)$, never more than $1 / s$.
    - Weak scaling, a batch that grows with the ranks (Gustafson), with a serial share $s$ of the
      time on $p$ ranks: the speed-up is $s + (1 − s) p$.

    A batch $k$ times as large makes $k$ times fewer steps. Goyal et al. 2017: make them $k$ times
    as long, learning rate $k η$, and begin with a warm-up from $η$ to $k η$.

Run it:  python examples/12_many_machines.py       which needs no second machine and no MPI
         mpiexec -n 2 python examples/mpi/allreduce.py        the same in earnest, after
                                                              pip install -e ".[mpi]"
"""

import math
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import minicnn as mc
from minicnn.cli.run_record import processor
from minicnn.ops import use
from minicnn.ops.fast.threads import cores, parallel_map
from minicnn.training.callbacks import LearningRateSchedule, ProgressBar
from minicnn.training.thread_parallel import ThreadParallel

# 1. The gradient of a sum is the sum of the gradients ----------------------------------------
#
# Three ranks take 11, 11 and 10 photos of a batch of 32, and each computes the gradient of its own
# mean loss. Weighted by their shares, the three sum up to the gradient of the batch, but for
# rounding. The plain mean of the three is another vector, since one rank has fewer photos.

train, test = mc.data.sample("fashion", "train"), mc.data.sample("fashion", "test")
photos, labels = train.images(range(len(train)), (28, 28)), train.labels
model, loss = mc.SmallCNN(10), mc.losses.CategoricalCrossEntropy()


def gradient(x, t):
    """The gradient of the mean loss of some photos, as a single vector."""
    loss.forward(model.forward(x, training=True), t)
    model.backward(loss.backward(), input_gradient=False)
    return np.concatenate([g.ravel() for layer in model.layers for g in layer.grads.values()])


x, t = model.to_input(photos[::31][:32]).astype(np.float64), labels[::31][:32]
whole, shares = gradient(x, t), np.array_split(np.arange(32), 3)
gradients = [gradient(x[rows], t[rows]) for rows in shares]  # one a rank
weighted = sum(len(rows) / 32 * g for rows, g in zip(shares, gradients, strict=True))
for name, g in (("weighted sum", weighted), ("plain mean", np.mean(gradients, axis=0))):
    print(f"{name:<13} of the gradients of {[len(rows) for rows in shares]} photos: differs from "
          f"that of all 32 by {np.abs(g - whole).max() / np.abs(whole).max():.0e} of its maximum")

# 2. Allreduce by hand: a ring and a tree of ranks --------------------------------------------
#
# Ranks are simulated: each has a vector, and in one step each may send one message and receive one.
# The network counts steps and bytes, and the seconds of the model: the longest message of a step
# decides.
#
# The ring cuts the vectors into p chunks. In p − 1 steps each chunk travels once around the ring,
# and every rank adds its own part; p − 1 more steps carry the finished chunks to all. The tree adds
# up pairs, then pairs of pairs, until rank 0 has the sum, and sends it back the same way.

ALPHA, BETA = 20e-6, 8 / 10e9  # 20 µs a message, 10 Gbit/s: both ASSUMED, a usual Ethernet


class Network:
    """Carries messages from rank to rank, and counts."""

    def __init__(self, ranks):
        self.steps, self.seconds, self.sent = 0, 0.0, np.zeros(ranks, int)

    def step(self, messages):
        """messages {(sender, receiver): array}: all are on their way at the same time."""
        self.steps += 1
        self.seconds += ALPHA + BETA * max(message.nbytes for message in messages.values())
        for (sender, _), message in messages.items():
            self.sent[sender] += message.nbytes
        return {pair: message.copy() for pair, message in messages.items()}


def ring_allreduce(vectors, network):
    """Every rank's vector (n,) -> every rank's sum of all (n,)."""
    p = len(vectors)
    chunks = [np.array_split(vector.copy(), p) for vector in vectors]  # chunks[rank][k]
    for step in range(p - 1):  # reduce-scatter: rank r passes chunk r − step on to its neighbour
        arrived = network.step({(r, (r + 1) % p): chunks[r][(r - step) % p] for r in range(p)})
        for (sender, receiver), message in arrived.items():
            chunks[receiver][(sender - step) % p] += message
    for step in range(p - 1):  # allgather: chunk r + 1 of rank r is complete
        arrived = network.step({(r, (r + 1) % p): chunks[r][(r + 1 - step) % p] for r in range(p)})
        for (sender, receiver), message in arrived.items():
            chunks[receiver][(sender + 1 - step) % p] = message
    return [np.concatenate(parts) for parts in chunks]


def tree_allreduce(vectors, network):
    """The same by a binomial tree."""
    p, sums = len(vectors), [vector.copy() for vector in vectors]
    distances = [2 ** k for k in range(math.ceil(math.log2(p)))]
    for d in distances:  # reduce: 1 to 0 and 3 to 2, then 2 to 0, …
        arrived = network.step({(r, r - d): sums[r] for r in range(d, p, 2 * d)})
        for (_, receiver), message in arrived.items():
            sums[receiver] += message
    for d in reversed(distances):  # broadcast, the other way
        arrived = network.step({(r - d, r): sums[r - d] for r in range(d, p, 2 * d)})
        for (_, receiver), message in arrived.items():
            sums[receiver] = message
    return sums


# The two on 8 ranks --------------------------------------------------------------------------

vectors = list(np.random.default_rng(0).normal(size=(8, len(whole))).astype(np.float32))
exact = np.sum(vectors, axis=0, dtype=np.float64)
print(f"\n8 ranks, {len(whole):,} numbers of float32 each, {4 * len(whole) / 1e6:.2f} MB")
print(f"{'':6}{'steps':>6}{'most sent, MB':>15}{'ms':>8}{'error':>9}  the same bits everywhere?")
for name, allreduce in (("ring", ring_allreduce), ("tree", tree_allreduce)):
    network = Network(8)
    sums = allreduce(vectors, network)
    error = max(np.abs(s - exact).max() for s in sums)
    print(f"{name:<6}{network.steps:>6}{network.sent.max() / 1e6:>15.2f}"
          f"{1e3 * network.seconds:>8.2f}{error:>9.0e}  {all((s == sums[0]).all() for s in sums)}")

# 3. The α-β model: who is faster? ------------------------------------------------------------
#
# The formulas give what has been counted, and go on where nobody counts. A rank of the ring sends
# less than twice the vector, however many ranks there are, but waits for 2 (p − 1) latencies. The
# tree waits for few, and sends the whole vector each time: it is for short vectors. The time for
# adding is left out. Sources: Thakur, Rabenseifner & Gropp 2005; Patarasu & Yuan 2009, who show
# that nobody can send less than the ring.


def ring_seconds(p, n):
    """Of n bytes on p ranks."""
    return 2 * (p - 1) * ALPHA + 2 * (p - 1) / p * n * BETA


def tree_seconds(p, n):
    """The same by the tree."""
    return 2 * math.ceil(math.log2(p)) * (ALPHA + n * BETA)


base = mc.VGG16(include_top=False, weights=None)
SIZES = {"a head of 32,769": 4 * 32769, "SmallCNN": 4 * len(whole),
         "VGG16's base": 4 * sum(p.size for layer in base.layers for p in layer.params.values())}
RANKS = [2 ** k for k in range(1, 11)]
print(f"\nAllreduce in ms, ring / tree\n{'ranks':>6}" + "".join(
    f"{name:>24}" for name in SIZES))
for p in RANKS:
    print(f"{p:>6}" + "".join(f"{1e3 * ring_seconds(p, n):>15.2f} /{1e3 * tree_seconds(p, n):>7.2f}"
                              for n in SIZES.values()))

# 4. Strong and weak scaling, measured on the cores at hand -----------------------------------
#
# minicnn's threads do to a batch what ranks do: each takes some photos through its own replica of
# the network, forward and back, then the gradients are added (minicnn/training/thread_parallel.py).
# So does the backend fast; the threads of native share each operation instead, as long as it is
# small (docs/speed.md), and no messages between machines could be as quick.
# Only the messages are missing, since threads share their memory. So the law can be seen on any
# laptop, up to the number of its cores. What these give at best is measured, too: threads that
# multiply small matrices, each its own, need nothing of each other.

COUNTS = sorted({1, *(2 ** k for k in range(1, 5) if 2 ** k <= cores()), min(cores(), 16)})
PER_RANK = 64


def training_step(N, num_threads):
    """Seconds of a training step of SmallCNN on N photos."""
    x, t = model.to_input(photos[np.arange(N) % 1000]), labels[np.arange(N) % 1000]
    network, optimizer = ThreadParallel(model), mc.optimizers.SGD(1e-6)
    with threadpool_limits(num_threads, "blas"), use("fast"):
        start = time.perf_counter()
        loss.forward(network.forward(x, training=True), t)
        network.backward(loss.backward(), input_gradient=False)
        optimizer.step(network)
        return time.perf_counter() - start


def arithmetic(num_threads):
    """Seconds in which each of so many threads computes 40 products."""
    start, a = time.perf_counter(), np.ones((256, 256), np.float32)
    with threadpool_limits(1, "blas"):
        parallel_map(lambda mine: [a @ a for _ in range(40 * len(mine))], range(num_threads),
                     num_threads)
    return time.perf_counter() - start


# The cases in turn, each 20 times; the minimum counts, since other programs only add time.
batch = PER_RANK * max(COUNTS)  # strong scaling divides it, weak scaling works up to it
cases = sorted({(N, p) for p in COUNTS for N in (batch, PER_RANK * p)} | {(16, 1), (256, 1)})
times = [[training_step(*case) for case in cases] + [arithmetic(p) for p in COUNTS]
         for _ in range(20)]
seconds = dict(zip([*cases, *COUNTS], np.min(times, axis=0), strict=True))
best = {p: p * seconds[1] / seconds[p] for p in COUNTS}
strong = {p: seconds[batch, 1] / seconds[batch, p] for p in COUNTS}
weak = {p: p * seconds[PER_RANK, 1] / seconds[PER_RANK * p, p] for p in COUNTS}
print(f"\nMEASURED on {processor()}, {cores()} cores: speed-up by threads")
print(f"{'threads':>8}{'arithmetic':>12}{f'strong, {batch} photos':>22}"
      f"{f'weak, {PER_RANK} photos a thread':>30}")
for p in COUNTS:
    print(f"{p:>8}{best[p]:>12.2f}{strong[p]:>22.2f}{weak[p]:>30.2f}")
p = max(COUNTS)
if p > 1:
    serial = min(1.0, max(0.0, (p / strong[p] - 1) / (p - 1)))  # Amdahl's formula, solved for s
    gustafson = min(1.0, max(0.0, (p - weak[p]) / (p - 1)))
else:  # a single core has nothing to compare with
    serial = gustafson = 0.05
print(f"serial share {'by Amdahl' if p > 1 else '(ASSUMED, a single core)'}: {serial:.3f}, "
      f"hence at most {1 / max(serial, 1e-3):,.0f} times as fast; by Gustafson {gustafson:.3f}")
if best[p] < 0.8 * p:
    print(f"{p} threads get no more than {best[p]:.1f} cores here: other programs run, or two "
          "threads share a core.\nEnd other programs, and run this again.")

# The same on machines: computed, with one thread's time and 10 Gbit/s ------------------------
#
# A rank of one thread, and Allreduce by the quicker of the two ways. Strong scaling comes to its
# end where the messages take as long as the photos.

PER_PHOTO = (seconds[256, 1] - seconds[16, 1]) / 240
FIXED = max(0.0, seconds[16, 1] - 16 * PER_PHOTO)  # the optimizer's step, and the like


def on_ranks(photos_per_rank, p):
    """Seconds of a step of SmallCNN."""
    n = SIZES["SmallCNN"]
    together = min(ring_seconds(p, n), tree_seconds(p, n)) if p > 1 else 0
    return FIXED + PER_PHOTO * photos_per_rank + together


ALL = (1, *RANKS)
on_strong = [on_ranks(1024, 1) / on_ranks(1024 / p, p) for p in ALL]
on_weak = [p * on_ranks(PER_RANK, 1) / on_ranks(PER_RANK, p) for p in ALL]
print(f"\nCOMPUTED speed-up of SmallCNN on ranks, {1e3 * PER_PHOTO:.2f} ms a photo + "
      f"{1e3 * FIXED:.2f} ms a step measured, network assumed")
print(f"{'ranks':>8}{'strong, 1024 photos':>22}{f'weak, {PER_RANK} photos a rank':>30}")
for p, s, w in zip(ALL, on_strong, on_weak, strict=True):
    print(f"{p:>8}{s:>22.1f}{w:>30.1f}")

# 5. Large batches and the learning rate ------------------------------------------------------
#
# Four ranks with 25 photos each make a batch of 100: by section 1 what a single machine does with
# 100 photos, so that a single machine can show it. With the learning rate of a batch of 25 there
# are four times fewer steps of the same length, and the network lags behind. Four times the
# learning rate makes up for it, but is too much for a network that has just been drawn: the warm-up
# raises it over the first two epochs.

EPOCHS, SEEDS, LR, K = 8, (0, 1, 2), 0.003, 4


def warm_up(done):
    """From 1/K to 1 in the first two epochs, a line. done: the fraction of the training that is
    done, 0 … 1."""
    return min(1.0, 1 / K + (1 - 1 / K) * done * EPOCHS / 2)


VARIANTS = {"batch 25, η": (25, LR, None), "batch 100, η": (25 * K, LR, None),
            "batch 100, 4η": (25 * K, K * LR, None),
            "batch 100, 4η, warm-up": (25 * K, K * LR, warm_up)}
curves, accuracies = {}, {}
x_test = test.images(range(len(test)), (28, 28))
print(f"\nSGD with momentum 0.9, η = {LR}, {EPOCHS} epochs, means of {len(SEEDS)} seeds\n"
      f"{'':24}{'steps':>6}{'loss, epoch 1':>15}{f'epoch {EPOCHS}':>9}{'test accuracy':>15}")
for name, (batch_size, lr, schedule) in VARIANTS.items():
    losses, right = [], []
    for seed in SEEDS:
        network = mc.SmallCNN(10, seed=seed)
        history = mc.fit(network, (photos, labels), loss, mc.optimizers.SGD(lr, momentum=0.9),
                         epochs=EPOCHS, batch_size=batch_size, seed=seed,
                         callbacks=[ProgressBar(enabled=False),
                                    *([LearningRateSchedule(schedule)] if schedule else [])])
        losses.append(history["loss"])
        right.append(np.mean(network.predict(x_test).argmax(axis=1) == test.labels))
    curves[name], accuracies[name] = np.mean(losses, axis=0), np.mean(right)
    print(f"{name:<24}{EPOCHS * len(photos) // batch_size:>6}{curves[name][0]:>15.2f}"
          f"{curves[name][-1]:>9.2f}{100 * accuracies[name]:>13.1f} %", flush=True)

# The picture ---------------------------------------------------------------------------------

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#222222")
figure = Figure(figsize=(17, 5.6), dpi=90, layout="constrained")
message, speed, batches = figure.subplots(1, 3)
for (name, n), colour in zip(SIZES.items(), COLOURS, strict=False):
    message.plot(RANKS, [1e3 * ring_seconds(p, n) for p in RANKS], color=colour, lw=2.5,
                 label=f"{name}, {n / 1e6:.1f} MB")
    message.plot(RANKS, [1e3 * tree_seconds(p, n) for p in RANKS], "--", color=colour, lw=2.5)
message.set(xscale="log", yscale="log", ylim=(0.05, 3e4))
message.set_title("Allreduce: ring —, tree - -", fontsize=17)
message.set_ylabel("milliseconds (10 Gbit/s, 20 µs)", fontsize=14)
speed.plot(ALL, ALL, ":", color="#777777", lw=2, label="ideal")
speed.plot(ALL, on_weak, color=COLOURS[2], lw=2.5, label=f"weak, {PER_RANK} photos a rank")
speed.plot(ALL, on_strong, color=COLOURS[1], lw=2.5, label="strong, 1024 photos in all")
speed.plot(COUNTS, [weak[p] for p in COUNTS], "o", color=COLOURS[2], ms=11, label="threads, weak")
speed.plot(COUNTS, [strong[p] for p in COUNTS], "x", color=COLOURS[1], ms=11, mew=3,
           label="threads, strong")
speed.set(xscale="log", yscale="log", ylim=(0.7, 1500))
speed.set_title("SmallCNN: speed-up", fontsize=17)
for ax in (message, speed):
    ax.set_xticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"])
    ax.minorticks_off()
    ax.set_xlabel("ranks", fontsize=14)
speed.set_yticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"])
for (name, values), colour in zip(curves.items(), (COLOURS[3], *COLOURS[:3]), strict=True):
    batches.plot(range(1, EPOCHS + 1), values, "o-", color=colour, lw=2.5, label=name)
batches.set(yscale="log", yticks=[0.3, 0.5, 1, 2, 3], yticklabels=["0.3", "0.5", "1", "2", "3"])
batches.minorticks_off()
batches.set_title("large batch: training loss", fontsize=17)
batches.set_xlabel("epoch", fontsize=14)
for ax in (message, speed, batches):
    ax.tick_params(labelsize=13)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=13, loc="upper right" if ax is batches else "upper left")
picture = Path(__file__).with_suffix(".png")
figure.savefig(picture)
print(f"\npicture: {picture}")

print("""
What to notice
  - Nothing is approximated: p ranks do what one machine does with the whole batch, but for
    rounding. If their shares differ, the mean must be weighted. Layers that mix the photos of a
    batch, batch normalization above all, need more than this sum: exercise 1.
  - After Allreduce all ranks have the same bits, so that they make the same step and their weights
    stay equal without being sent. The order of the sums changes with the number of ranks, and with
    it the last bits. In minicnn all this is a callback, mc.distributed.DataParallel().
  - With an MPI (pip install -e ".[mpi]") the ranks are processes, and the ring sends real messages:
    mpiexec -n 2 python examples/mpi/allreduce.py. On many machines: docs/distributed.md.
  - The ring sends the least that is possible, less than twice the vector; the tree waits far less
    often (exercise 2 halves that again). MPI and NCCL choose by size. On 1,024 ranks almost a third
    of the ring's 135 ms for VGG16's base is latency, and for SmallCNN's 0.4 MB nearly all of its
    time.
  - Strong scaling ends: the photos of a rank become fewer, the messages do not. Weak scaling goes
    on, at the price of a batch that grows with it, and a large batch is not free: section 5.
    The serial share that threads show is not all waiting: they also share the memory's bandwidth.
  - VGG16's base has 139 times the weights of SmallCNN, but far more arithmetic for each: it scales
    better. python -m benchmarks.scaling computes it up to 1,024 ranks, with and without the trick
    of sending the upper layers' gradients while the lower ones are still being computed.

Exercises (solutions in examples/solutions/lessons.md)
  1. Put a BatchNormalization behind the first convolution of section 1. Why is the difference no
     longer rounding? What would the ranks have to tell each other?
  2. Write recursive doubling: in step k every rank swaps its whole sum with the rank whose number
     differs in bit k. How many steps, how many bytes? When does it beat both?
  3. At which size does the ring overtake the tree on 64 ranks? Solve the formulas for n, and try
     one size on either side.
  4. Sixteen ranks: batch 400, K = 16. Does the linear rule still hold? How many steps are left?
""")

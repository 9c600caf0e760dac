"""Lesson 12 in earnest: ranks that are processes, and messages by MPI.

    pip install -e ".[mpi]"
    mpiexec -n 2 python examples/mpi/allreduce.py
    mpiexec -n 4 --oversubscribe python examples/mpi/allreduce.py      Open MPI, with fewer cores

Each rank computes the gradient of its share of a batch, Allreduce adds them up, and rank 0 compares
with the gradient of the whole batch. Then the ring of the lesson against MPI's own Allreduce.
"""

import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: the ranks share the cores

import numpy as np

try:
    from mpi4py import MPI
except ImportError:
    raise SystemExit('allreduce.py: expected mpi4py, found none. pip install -e ".[mpi]"') from None

import minicnn as mc

comm = MPI.COMM_WORLD
rank, ranks = comm.rank, comm.size


def gradient(model, loss, x, t):
    """The gradient of the mean loss of some photos, as a single vector."""
    loss.forward(model.forward(x, training=True), t)
    model.backward(loss.backward(), input_gradient=False)
    return np.concatenate([g.ravel() for layer in model.layers for g in layer.grads.values()])


def ring_allreduce(vector):
    """This rank's vector -> the sum over all ranks. Every rank runs this same code at once."""
    chunks = np.array_split(vector.copy(), ranks)
    left, right = (rank - 1) % ranks, (rank + 1) % ranks
    for step in range(ranks - 1):  # reduce-scatter
        k = (rank - step - 1) % ranks  # the chunk that comes from the left
        arrived = np.empty_like(chunks[k])
        comm.Sendrecv(chunks[(rank - step) % ranks], right, recvbuf=arrived, source=left)
        chunks[k] += arrived
    for step in range(ranks - 1):  # allgather
        k = (rank - step) % ranks
        comm.Sendrecv(chunks[(rank + 1 - step) % ranks], right, recvbuf=chunks[k], source=left)
    return np.concatenate(chunks)


def mpi_allreduce(vector):
    """The same by MPI, which chooses an algorithm by size and number."""
    total = np.empty_like(vector)
    comm.Allreduce(vector, total)
    return total


def milliseconds(allreduce, vector):
    """The least of ten calls, all ranks starting together; the slowest rank counts."""
    times = []
    for _ in range(10):
        comm.Barrier()
        start = time.perf_counter()
        allreduce(vector)
        times.append(comm.allreduce(time.perf_counter() - start, MPI.MAX))
    return 1e3 * min(times)


N = 32  # photos in the batch
data = mc.data.sample("fashion", "train")
model, loss = mc.SmallCNN(10), mc.losses.CategoricalCrossEntropy()
shuffled = np.random.default_rng(0).permutation(len(data))[:N]  # the same on every rank
x = model.to_input(data.images(shuffled, (28, 28))).astype(np.float64)
t = data.labels[shuffled]
share = np.array_split(np.arange(N), ranks)[rank]
if ranks > N:
    raise SystemExit(f"allreduce.py: expected at most {N} ranks, a photo each, received {ranks}.")
total = ring_allreduce(len(share) / N * gradient(model, loss, x[share], t[share]))
if rank == 0:
    whole = gradient(model, loss, x, t)
    print(f"{ranks} ranks: the sum differs from the gradient of the whole batch by "
          f"{np.abs(total - whole).max() / np.abs(whole).max():.0e} of its maximum")
    print(f"{'bytes':>12}{'ring, ms':>12}{'MPI, ms':>12}", flush=True)
sizes = (1, 1_000, 106_154, 1_000_000, 14_714_688)  # 106,154: SmallCNN; the last: VGG16's base
for size in sizes[:3] if "--short" in sys.argv[1:] else sizes:
    vector = np.ones(size, np.float32)
    ring, mpi = milliseconds(ring_allreduce, vector), milliseconds(mpi_allreduce, vector)
    if rank == 0:
        print(f"{vector.nbytes:>12,}{ring:>12.3f}{mpi:>12.3f}", flush=True)

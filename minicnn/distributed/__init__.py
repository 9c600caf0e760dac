"""Distributed: several processes, on one machine or on many, train one network together. MPI, by
mpi4py, starts and connects them.

How it works. All processes, the ranks, run the same program. They draw the same random numbers, so
they have the same order of the photos and the same global batches without a word between them.
Rank r of R computes the r-th part of each batch (batch_share.py); the parts differ by one photo at
most. A step meets at two points:

1. the loss (shared_loss.py): each rank adds its samples' part; the mean over the global batch is
   what the history records and what decides on NaN, on stopping early and on the best epoch, so
   that all ranks decide alike. A request to stop, by Ctrl-C or SIGTERM, travels with it.
2. the gradients (gradient_sums.py): the gradient of a sum is the sum of the gradients. They are
   summed bucket by bucket while the backward pass goes on, and all ranks make the same step. By
   MPI (allreduce.py), or between GPUs by NCCL (nccl.py); resources.py chooses.

Layers that mix the samples of a batch or draw random numbers see the whole batch
(shared_layers.py): batch normalization its mean and variance, Dropout its masks. So the weights are
those of a single process, but for the order of additions.

What the frozen layers give is computed once, each rank its part of the photos, and then known to
all: in memory, or beyond the budget in a file that all map (shared_rows.py). Rank 0 alone prints,
writes and draws. A checkpoint knows nothing of ranks, so that a training goes on with any number of
them. If a rank fails, all end (safety.py): MPI by itself would wait for ever.

A seam of one class, utils/ranks.py, is all that the other rooms know of this.
"""

from .data_parallel import DataParallel
from .launch import connect, launched, launched_as_first
from .mpi_ranks import MPIRanks
from .same_training import digest

__all__ = ["DataParallel", "MPIRanks", "connect", "digest", "launched", "launched_as_first"]

"""What every rank does in tests/distributed/test_nccl.py: the same training, on the stand-in for
CuPy, where NCCL adds up the gradients, and where for some reason it does not.

    mpiexec -n 2 python tests/distributed/nccl_jobs.py FOLDER

writes FOLDER/<rank>.npz, the weights after each training, and <rank>.json, what else was observed.
"""

import functools
import json
import os
import sys
import warnings
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import standin
import standin_nccl
from makers import in_float64, random_batch, weights

import minicnn as mc
from minicnn.distributed import data_parallel
from minicnn.distributed.gradient_sums import GradientSums

SHAPE = (6, 6, 2)
BUCKET_BYTES = 200  # so that a step has several sums, as a large network does


class Way(mc.Callback):
    """The class that has added up the gradients."""

    name = ""

    def on_batch_end(self, state):
        self.name = type(state.network.sums.allreduce).__name__


def trained(dtype=np.float64, callbacks=()):
    """{what: numbers} after six steps, of batches that two ranks do not divide."""
    model = mc.Sequential([
        mc.Conv2D(3, 3, use_bias=False), mc.BatchNormalization(), mc.ReLU(), mc.Flatten(),
        mc.Dropout(0.3), mc.Dense(4), mc.Dense(3), mc.Softmax()], SHAPE)
    model = (in_float64(model) if dtype == np.float64 else model).to("cuda")
    x, t = random_batch(13, SHAPE)
    history = mc.fit(model, (x.astype(dtype), t), mc.losses.CategoricalCrossEntropy(),
                     mc.optimizers.Adam(0.01), epochs=2, batch_size=5, callbacks=callbacks)
    return weights(model) | {"loss": np.array(history["loss"])}


def observed(dtype=np.float64):
    """(numbers, way, warnings) of a training of all ranks."""
    way = Way()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        numbers = trained(dtype, [mc.distributed.DataParallel(), way])
    return numbers, way.name, [str(warning.message) for warning in said]


def gpu(number):
    """As if this rank had the GPU of that number."""
    return mock.patch.object(standin.Device, "pci_bus_id", f"0000:{number:02}:00.0")


def failing(rank, when):
    """As if NCCL failed on that rank."""
    def fail(*arguments):
        if when == "connected":  # as the others are by then
            connect(*arguments)
        raise standin_nccl.NcclError(standin_nccl.INVALID_USAGE)

    nccl = sys.modules["cupy.cuda"].nccl
    connect = nccl.NcclCommunicator
    if mc.distributed.connect().rank != rank:
        return mock.patch.object(nccl, "available", True)
    return mock.patch.object(nccl, "NcclCommunicator" if when == "connected" else "get_unique_id",
                             fail)


def main(folder):
    ranks = mc.distributed.connect()
    rank, made, cases = ranks.rank, standin_nccl.NcclCommunicator.made, {}
    with standin.installed(), mock.patch.object(
            data_parallel, "GradientSums",
            functools.partial(GradientSums, bucket_bytes=BUCKET_BYTES)):
        with gpu(rank):
            cases["float64"] = observed()
            cases["float32"] = observed(np.float32)
            facts = {"communicators": len(made), "sizes": made[0].sizes}
            with mock.patch.dict(os.environ, {"MINICNN_NCCL": "0"} if rank == 1 else {}):
                cases["switched off on rank 1"] = observed()
        with gpu(0):
            cases["one GPU"] = observed()
        with gpu(2 + rank), failing(1, "connected"):
            cases["failed on rank 1"] = observed()
            cases["not tried again"] = observed()
        facts["aborted"] = [communicator.aborted for communicator in made]
        with gpu(4 + rank), failing(0, "unique id"):
            cases["no unique id"] = observed()
    np.savez(folder / f"{rank}.npz", **{
        f"{case}:{name}": value for case, (numbers, _, _) in cases.items()
        for name, value in numbers.items()})
    facts["ways"] = {case: way for case, (_, way, _) in cases.items()}
    facts["warnings"] = {case: said for case, (_, _, said) in cases.items()}
    (folder / f"{rank}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

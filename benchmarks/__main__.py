"""minicnn against the peers a user would pick on this processor: time and memory, in one table.

    pip install -e ".[bench]"
    python -m benchmarks                        all rows: about an hour, most of it Keras'
    python -m benchmarks --rows vgg16-batch-1 small-network
    python -m benchmarks --rows memory-batch-8 --pairs 3 --json table.json

The peers: PyTorch, ONNX Runtime and OpenVINO for inference, PyTorch for training steps, Keras for
whole jobs; of a peer's variants (layouts in memory, modes) the faster one counts. All have as many
threads as minicnn, and the outputs of inference are compared before anything is timed. A peer that
is not installed is named and left out.

A ratio is minicnn / peer, smaller is better: the median over pairs of neighbouring measurements,
ours and the peer's in turn in one process, or in the rows of whole processes one process after the
other; beside it the lowest and the highest of the pairs. Peaks of memory are those of whole
processes. The figures hold for this processor only, and only if nothing else runs: a row during
which other processes took more than a twentieth of the processor is marked NOT VALID. Linux only
(it reads /proc).
"""

import argparse
import json
import os
import platform
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import engines, rows_inference, rows_jobs, rows_training
from benchmarks.load import read_clocks, share_of_others
from minicnn.ops.fast import threads

# Each: function(args, folder for files) -> Rows. Their names are in docs/benchmarks.md, too.
ROWS = {
    "vgg16-batch-1": rows_inference.speed(1),
    "vgg16-batch-8": rows_inference.speed(8),
    "sgemm-share": rows_inference.share,
    "memory-batch-1": rows_inference.memory(1),
    "memory-batch-8": rows_inference.memory(8),
    "training-step": rows_training.training_step,
    "small-network": rows_training.small_network,
    "cross-validation": rows_training.cross_validation,
    "transfer-features": rows_jobs.transfer_features,
    "transfer": rows_jobs.transfer,
    "block5": rows_jobs.block5,
    "cold-start": rows_jobs.cold,
    "decoding": rows_jobs.decoding,
    "growth": rows_jobs.growth,
}

# What arithmetic is vectorised with, as /proc/cpuinfo names it: virtual machines often tell no more
# of a processor.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")


def machine():
    """Of the processor, threads and versions: {what: text}."""
    lines = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines()
                 if ":" in line)
    values = {key.strip(): value.strip() for key, value in lines.items()}
    widest = [flag for flag in INSTRUCTIONS if flag in values.get("flags", "").split()]
    return {"processor": ", ".join([values.get("model name", platform.machine()), *widest]),
            "threads": f"{threads.num_threads()} on {threads.cores()} cores, "
                       f"load {os.getloadavg()[0]:.1f} before",
            "versions": ", ".join([f"Python {platform.python_version()}", f"numpy {np.__version__}",
                                   *engines.versions(engines.ALL_PEERS)])}


def main(arguments=None):
    """Prints the table, a row when it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=ROWS, default=list(ROWS),
                        help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--pairs", type=int, default=7, metavar="N",
                        help="pairs of measurements (default: 7); peaks of memory: at most "
                             f"{rows_inference.MEMORY_PAIRS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    args = parser.parse_args(arguments)
    if args.pairs < 1:
        parser.error(f"argument --pairs: expected at least 1, received {args.pairs}")
    table = {"machine": machine(), "missing": engines.missing_peers(engines.ALL_PEERS),
             "rows": []}
    for line in [f"{what}: {text}" for what, text in table["machine"].items()] + table["missing"]:
        print(line)
    print("\n| case | peer | ratio | lowest … highest | |\n| --- | --- | --- | --- | --- |",
          flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in args.rows:
            before = read_clocks()
            for row in ROWS[name](args, Path(folder)):
                row = replace(row, others=share_of_others(before, read_clocks(), threads.cores()))
                print(row, flush=True)
                table["rows"].append(row.to_dict())
    if args.json:
        args.json.write_text(json.dumps(table, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()

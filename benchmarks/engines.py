"""The peers that a user would pick for inference on a processor: PyTorch, ONNX Runtime, OpenVINO.

Each computes in float32 on as many threads as minicnn, and each has its variants, of which the
faster one counts. ONNX Runtime and OpenVINO get the network as `minicnn export` writes it, without
the preprocessing, so that all engines begin with the same numbers, and know the number of photos
beforehand, as it lets them plan their memory.
"""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import partial

import numpy as np

# Largest difference from minicnn's output, relative to its largest number. Engines that compute in
# float32 differ by less than 1e-6 here; bfloat16, which is another computation, by about 2e-3.
BOUND = 1e-4


def torch_run(model, x, threads, layout):
    """PyTorch, with oneDNN. layout in memory: "contiguous" (N, C, H, W) or "channels_last"."""
    import torch

    from benchmarks.peers import torch_network

    torch.set_num_threads(threads)
    network, images = torch_network(model, x, layout == "channels_last")

    def run():
        with torch.inference_mode():
            y = network(images)
        return (y.permute(0, 2, 3, 1) if y.ndim == 4 else y).numpy()  # a view: no copy
    return run


def onnx_bytes(model):
    """The network as an ONNX file; its input is "x", its output "y"."""
    from minicnn.weights.onnx import onnx_model

    return onnx_model(model.view(model.layers, model.input_shape)).SerializeToString()


def onnxruntime_run(model, x, threads):
    """ONNX Runtime: a chain has nothing to run beside each other, so all threads are for the one
    operator (intra), none for several (inter)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_free_dimension_override_by_name("N", len(x))
    session = onnxruntime.InferenceSession(onnx_bytes(model), options,
                                           providers=["CPUExecutionProvider"])
    return lambda: session.run(["y"], {"x": x})[0]


def openvino_run(model, x, threads, hint):
    """OpenVINO. hint: "LATENCY": all threads compute one batch; "THROUGHPUT": as many parts of the
    batch are computed at once as it recommends.

    Precision: on processors with bfloat16 (AVX-512 BF16, AMX) OpenVINO would by itself round
    weights and activations to 8 significant bits. That is not the computation of the others, so
    it has to keep to float32.
    """
    import openvino

    core = openvino.Core()
    network = core.read_model(onnx_bytes(model))
    config = {"PERFORMANCE_HINT": hint, "INFERENCE_NUM_THREADS": threads,
              "INFERENCE_PRECISION_HINT": "f32"}
    parts = 1
    if hint == "THROUGHPUT":
        recommended = core.compile_model(network, "CPU", config).get_property(
            "OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        parts = max(k for k in range(1, len(x) + 1) if k <= recommended and len(x) % k == 0)
    network.reshape([len(x) // parts, *x.shape[1:]])
    compiled = core.compile_model(network, "CPU", config)
    batches, requests = np.split(x, parts), []

    def run():
        if not requests:  # not before: their memory is a part of what inference takes
            requests.extend(compiled.create_infer_request() for _ in range(parts))
        for request, batch in zip(requests, batches, strict=True):
            request.start_async([batch], share_inputs=True)  # x is read where it is
        for request in requests:
            request.wait()
        return np.concatenate([request.get_output_tensor().data for request in requests])
    return run


@dataclass(frozen=True)
class Peer:
    """An engine. packages: what has to be installed; variants: {name: function(model, x, threads)
    -> function() -> y (N, …)}."""

    name: str
    packages: tuple[str, ...]
    variants: dict

    def title(self, variant):
        """The peer's name, and the variant's if there are several: "PyTorch (channels last)"."""
        if len(self.variants) == 1:
            return self.name
        return f"{self.name} ({variant.split('-', 1)[1].replace('-', ' ')})"

    def missing(self):
        """The packages that are not installed."""
        return [package for package in self.packages if not importlib.util.find_spec(package)]


PYTORCH = Peer("PyTorch", ("torch",), {
    "torch-contiguous": partial(torch_run, layout="contiguous"),
    "torch-channels-last": partial(torch_run, layout="channels_last")})
ONNX_RUNTIME = Peer("ONNX Runtime", ("onnxruntime", "onnx"), {"onnxruntime": onnxruntime_run})
OPENVINO = Peer("OpenVINO", ("openvino", "onnx"), {
    "openvino-latency": partial(openvino_run, hint="LATENCY"),
    "openvino-throughput": partial(openvino_run, hint="THROUGHPUT")})
KERAS = Peer("Keras", ("keras", "torch"), {})  # for whole jobs, on PyTorch
PEERS = (PYTORCH, ONNX_RUNTIME, OPENVINO)  # for inference
ALL_PEERS = (*PEERS, KERAS)
BUILDERS = {name: build for peer in PEERS for name, build in peer.variants.items()}


def installed(peers):
    """Those whose packages are all installed."""
    return [peer for peer in peers if not peer.missing()]


def missing_peers(peers):
    """A line for each of the peers that is left out, as it is not installed."""
    return [f"{peer.name} is left out: {' and '.join(peer.missing())} not installed "
            f"(pip install -e \".[bench]\")." for peer in peers if peer.missing()]


def versions(peers):
    """["torch 2.13.0", …]: of the packages of those that are installed."""
    packages = dict.fromkeys(p for peer in installed(peers) for p in peer.packages)
    return [f"{package} {importlib.metadata.version(package)}" for package in packages]


def variants_for(peer, N):
    """The names of the variants to try for N photos; a single photo has no parts to be shared."""
    return [name for name in peer.variants if N > 1 or name != "openvino-throughput"]


def checked(name, run, expected):
    """run, if its output is `expected` (N, …) up to BOUND; else raises ValueError."""
    y = np.asarray(run())
    if y.shape != expected.shape:
        raise ValueError(f"{name}: expected an output {expected.shape}, received {y.shape}.")
    error = np.abs(y - expected).max() / np.abs(expected).max()
    if not error <= BOUND:  # NaN, too
        raise ValueError(f"{name}: expected minicnn's output, at most {BOUND:g} of its largest "
                         f"number off, received {error:.2g}. It does not compute the same, so its "
                         f"time says nothing: look for its precision and its weights.")
    return run


def runs(peer, model, x, threads, expected):
    """{variant: checked function() -> y} of a peer."""
    return {name: checked(name, peer.variants[name](model, x, threads), expected)
            for name in variants_for(peer, len(x))}

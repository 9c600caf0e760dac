"""Keras' layouts, written by hand with h5py from the facts about them, never by minicnn.

network: [(layer's name, [kernel, bias]), …]; four arrays are a batch normalization's, one is a
PReLU's.
"""

import io
import zipfile

import h5py
import numpy as np


def write_a(file, network):
    file.attrs["nb_layers"] = 2 * len(network)
    for k, (_, arrays) in enumerate(network):
        file.create_group(f"layer_{2 * k}").attrs["nb_params"] = 0  # a padding or a pooling
        group = file.create_group(f"layer_{2 * k + 1}")
        group.attrs["nb_params"] = len(arrays)
        for p, array in enumerate(arrays):
            group[f"param_{p}"] = array


def write_named(root, network, keys, encode=lambda names: names):
    names = ["input_1", *(name for name, _ in network), "pool"]
    root.attrs["layer_names"] = encode(names)
    for name in names:
        group = root.create_group(name)
        arrays = dict(network).get(name, [])
        weight_names = [key.format(name) for key in keys[:len(arrays)]]
        group.attrs["weight_names"] = encode(weight_names) if weight_names else np.empty(0)
        for key, array in zip(weight_names, arrays, strict=True):
            group[key] = array


def write_b(file, network):
    write_named(file, network, ("{0}_W_1:0", "{0}_b_1:0", "{0}_running_mean_1:0",
                                "{0}_running_std_1:0"), lambda names: np.array(names, "S"))


def write_c(file, network):
    file.attrs.update({"backend": b"tensorflow", "keras_version": b"2.1.6"})
    write_named(file, network, ("{0}/kernel:0", "{0}/bias:0", "{0}/moving_mean:0",
                                "{0}/moving_variance:0"), lambda names: np.array(names, "S"))
    file.create_group("top_level_model_weights").attrs["weight_names"] = np.empty(0)


def write_c_renamed(file, network):
    write_named(file, network, ("conv2d_7/kernel:0", "conv2d_7/bias:0", "conv2d_7/2:0",
                                "conv2d_7/3:0"))


def write_d(file, network):
    file.attrs.update({"model_config": b"{}", "keras_version": b"2.15.0", "backend": b"tensorflow"})
    write_c(file.create_group("model_weights"), network)


def write_e(file, network):
    file.attrs.update({"model_config": "{}", "keras_version": "3.15.1", "backend": "torch"})
    write_named(file.create_group("model_weights"), network,
                ("sequential/{0}/kernel", "sequential/{0}/bias", "sequential/{0}/moving_mean",
                 "sequential/{0}/moving_variance"))


def write_f(file, network, names=True, container="layers"):
    file.create_group("vars")
    counts = {}
    for name, arrays in network:
        kind = {(4, 2): "conv2d", (2, 2): "dense", (1, 4): "batch_normalization",
                (3, 1): "p_re_lu"}[arrays[0].ndim, len(arrays)]
        k = counts[kind] = counts.get(kind, -1) + 1
        group = file.create_group(f"{container}/{kind}{f'_{k}' if k else ''}/vars")
        if names:
            group.attrs["name"] = name
        for p, array in enumerate(arrays):
            group[str(p)] = array
    # A layer without arrays, and one with a seed: neither is a weight.
    file.create_group(f"{container}/flatten/vars")
    file[f"{container}/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)


def write_windows(file, network, container="layers"):
    """F as Keras 2.13 … 2.15 wrote it on Windows, whose paths have backslashes."""
    file.create_group("vars")
    counts = {}
    for _, arrays in network:
        kind = "conv2d" if arrays[0].ndim == 4 else "dense"
        k = counts[kind] = counts.get(kind, -1) + 1
        group = file.create_group(f"{container}\\{kind}{f'_{k}' if k else ''}").create_group("vars")
        for p, array in enumerate(arrays):
            group[str(p)] = array
    file.create_group(f"{container}\\flatten").create_group("vars")
    file.create_group(f"{container}\\dropout\\seed_generator").create_group("vars")["0"] = (
        np.zeros(2, np.uint32))


def archive(network, config="{}", write=write_f):
    """F′: the bytes of a .keras file."""
    buffer, content = io.BytesIO(), io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write(file, network)
    with zipfile.ZipFile(content, "w") as out:
        out.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        out.writestr("config.json", config)
        out.writestr("model.weights.h5", buffer.getvalue())
    return content.getvalue()


NAMED = {"B": write_b, "C": write_c, "C, renamed": write_c_renamed, "D": write_d, "E": write_e,
         "F": write_f}
UNNAMED = {"A": write_a, "F before 3.6": lambda f, n: write_f(f, n, names=False),
           "F of 2.13": lambda f, n: write_f(f, n, False, "_layer_checkpoint_dependencies"),
           "F of Windows": write_windows,
           "F of 2.13, Windows": lambda f, n: write_windows(f, n, "_layer_checkpoint_dependencies")}

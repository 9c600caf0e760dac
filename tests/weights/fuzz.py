"""Damaged weight files by the thousand: each must load exactly, or be refused by a FileError.

    python -m tests.weights.fuzz --count 20000

makes a small file in every layout, damages each copy in its own way (the same for the same number
and seed, but for the time, which HDF5 writes down), and loads it in a child process: into a network
(load_weights), and as a network (load) where it holds one; JSON with the weights of another file.
Said of each: no crash, no other error,
nothing on stderr, no warning, at most 5 s and 300 MB more than before; after a refusal the network
is bit for bit what it was.

Exactly means: the numbers that h5py gives by the file's own words, read without any check
(`plain` below). A flipped bit of a number is another number, and the file's own.
Prints a table; exits with 1 for a failure.
"""

import io
import json
import math
import struct
import sys
import tempfile
import warnings
import zipfile
import zlib
from functools import cache
from pathlib import Path

import h5py
import numpy as np

import minicnn as mc
from minicnn.utils.errors import FileError
from minicnn.weights import write_model, write_weights
from minicnn.weights.config import config_from_layers
from tests import fuzzing
from tests.makers import zipped

from .layouts import archive, write_a, write_b, write_c, write_d, write_e, write_f, write_windows

KINDS = "files"
SHAPES = {"zebra": [(3, 3, 3, 4), (4,)], "norm": [(4,)] * 4, "aa": [(3, 3, 4, 4), (4,)],
          "slopes": [(1, 1, 4)], "mid": [(3, 3, 4, 4), (4,)], "fc one": [(16, 5), (5,)],
          "last norm": [(5,)] * 4, "10": [(5, 2), (2,)]}


def model():
    """A network with preprocessing and classes, its numbers always the same."""
    conv = {"padding": "same", "activation": "relu"}
    layers = [mc.Resizing(8, 8, name="size"), mc.Rescaling(0.5, name="scale"),
              mc.Normalization(-1, (1, 2, 3), (4, 5, 6), "normal"), mc.ZeroPadding2D(1, "zeros"),
              mc.CenterCrop(8, 8, "crop"), mc.Permute((2, 1, 3), "axes"),
              mc.Reshape((8, -1, 3), "shape"), mc.Conv2D(4, 3, name="zebra", **conv),
              mc.BatchNormalization(name="norm"), mc.Conv2D(4, 3, name="aa", **conv),
              mc.MaxPool2D(name="pool"), mc.PReLU((1, 2), "slopes"),
              mc.SpatialDropout2D(0.2, name="whole channels"), mc.ReLU6("six"),
              mc.GaussianNoise(0.1, name="noise"), mc.SiLU("silu"),
              mc.Conv2D(4, 3, name="mid", padding="same", activation="hard_sigmoid"),
              mc.LeakyReLU(0.1, "leaky"), mc.ELU(0.5, "elu"), mc.HardSigmoid(0.2, "hard"),
              mc.MaxPool2D(name="pool 2"), mc.Dropout(0.5, name="drop"), mc.Flatten(name="flat"),
              mc.Dense(5, name="fc one", activation="softplus"),
              mc.GaussianDropout(0.3, name="factors"), mc.BatchNormalization(name="last norm"),
              mc.Tanh("tanh"), mc.SELU("selu"), mc.Softplus("soft"), mc.Dense(2, name="10"),
              mc.Softmax(name="p")]
    layers[12].trainable = False  # in a file it is a Dropout with a noise_shape
    return mc.Sequential(layers, (8, 8, 3), 3, "net", mc.preprocessing.Preprocessing(),
                         ["cirrus", "cumulus"])


def numbers(rng):
    """{layer: its arrays}, drawn; variances are not negative."""
    drawn = {name: [rng.normal(size=shape).astype(np.float32) for shape in shapes]
             for name, shapes in SHAPES.items()}
    return {name: [*arrays[:3], abs(arrays[3])] if len(arrays) == 4 else arrays
            for name, arrays in drawn.items()}


# ---- the files
def seeds():
    """{name: content}: every layout, old and new HDF5, every way of storing numbers."""
    rng, net = np.random.default_rng(7), model()
    network = list(numbers(rng).items())
    config = json.dumps(config_from_layers(net.layers, net.input_shape, "net"))
    meta = json.dumps({"classes": net.classes, "preprocessing": net.preprocessing.to_dict()})

    def h5(write, libver="earliest", **attributes):
        content = io.BytesIO()
        with h5py.File(content, "w", libver=libver) as file:
            write(file)
            file.attrs.update(attributes)
        return content.getvalue()

    def as_type(dtype):
        return [(name, [array.astype(dtype) for array in arrays]) for name, arrays in network]

    def stored(file, **how):
        for name in [name for name, kind in leaves(file) if kind.size > 1]:
            array = file[name][()]
            del file[name]
            file.create_dataset(name, data=array, chunks=array.shape, **how)

    theano = [(name, [a.transpose(3, 2, 0, 1) if a.ndim == 4 else a for a in arrays])
              for name, arrays in network]
    whole = {"model_config": config, "minicnn": meta}

    def ours(write, *rest):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "x.h5", net.layers, *rest)
            return (Path(folder) / "x.h5").read_bytes()

    def split(file):
        write_b(file, network)
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:2], names[2:]

    def packed(file):
        write_b(file, as_type("<f2"))
        stored(file, compression="gzip", shuffle=True)

    def checked(file):
        write_c(file, as_type(">f8"))
        stored(file, fletcher32=True)

    return {
        "A": h5(lambda f: write_a(f, network)),
        "A latest": h5(lambda f: write_a(f, network), "latest"),
        "B": h5(lambda f: write_b(f, network)), "B split": h5(split), "B packed": h5(packed),
        "B theano": h5(lambda f: write_b(f, theano)),
        "C": h5(lambda f: write_c(f, network)), "C checked": h5(checked),
        "C latest": h5(lambda f: write_c(f, network), "latest"),
        "C theano": h5(lambda f: write_c(f, network), backend="theano"),
        "D": h5(lambda f: write_d(f, network), **whole),
        "E": h5(lambda f: write_e(f, network), **whole),
        "E latest": h5(lambda f: write_e(f, network), "latest", **whole),
        "E ours": ours(write_model, net.input_shape, "net", json.loads(meta)),
        "F": h5(lambda f: write_f(f, network)),
        "F latest": h5(lambda f: write_f(f, network), "latest"),
        "F unnamed": h5(lambda f: write_f(f, network, names=False)),
        "F ours": ours(write_weights),
        "F' keras": archive(network, config),
        "F' deflated": zipped(unzipped(archive(network, config)), zipfile.ZIP_DEFLATED),
        "F'' 2.13": h5(lambda f: write_f(f, network, False, "_layer_checkpoint_dependencies")),
        "F windows": h5(lambda f: write_windows(f, network)),
        "F' windows": archive(network, config, write_windows),
        "json": config.encode()}


def unzipped(content):
    with zipfile.ZipFile(io.BytesIO(content)) as x:
        return {name: x.read(name) for name in x.namelist()}


# ---- attacks on what an HDF5 file says
def leaves(file):
    """[(name, dataset)] of a file that h5py has opened."""
    found = []
    file.visititems(lambda name, x: found.append((name, x))
                    if isinstance(x, h5py.Dataset) else None)
    return found


def groups(file):
    found = [file]
    file.visititems(lambda name, x: found.append(x) if isinstance(x, h5py.Group) else None)
    return found


def chosen(rng, things):
    return things[int(rng.integers(len(things)))]


def replaced(file, rng, shape=None, dtype="f4", **how):
    """Another dataset in the place of one."""
    name, old = chosen(rng, leaves(file))
    shape = old.shape if shape is None else shape
    del file[name]
    return file.create_dataset(name, shape, dtype, **how)


def huge_array(file, rng):
    replaced(file, rng, (10**int(rng.integers(9, 13)),),
             chunks=(2**int(rng.integers(10, 20)),) if rng.random() < 0.5 else None)


@cache
def zeros():
    return zlib.compress(bytes(2**24), 9)


def bomb(file, rng):
    """Chunks of 16 MB, 16 kB each in the file."""
    many = int(rng.integers(1, 60))
    data = replaced(file, rng, (many * 2**22,), chunks=(2**22,), compression="gzip")
    for k in range(many):
        data.id.write_direct_chunk((k * 2**22,), zeros())


def huge_chunk(file, rng):
    """A small array, cut out of a chunk that is large when unpacked."""
    data = replaced(file, rng, (5, 2), chunks=(2**int(rng.integers(5, 29)), 2),
                    maxshape=(None, 2), compression="gzip")
    data.id.write_direct_chunk((0, 0), zeros())


def wrong_chunk(file, rng):
    """A chunk that is shorter than it says, or no gzip at all, with checksum or without."""
    name, old = chosen(rng, leaves(file))
    if not old.size:
        return
    shape, content = old.shape, zlib.compress(old[()].tobytes())
    data = replaced(file, rng, shape, chunks=shape, compression="gzip",
                    fletcher32=rng.random() < 0.5, shuffle=rng.random() < 0.5)
    content = chosen(rng, [content, content[:9], b"", b"ab", zlib.compress(b"x" * 999), zeros()])
    data.id.write_direct_chunk((0,) * len(shape), content, int(rng.integers(8)))


def unknown_filter(file, rng):
    name, old = chosen(rng, leaves(file))
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk(old.shape or (1,))
    settings.set_filter(int(chosen(rng, [4, 5, 6, 32000])), h5py.h5z.FLAG_OPTIONAL, (4, 4, 4))
    space = h5py.h5s.create_simple(old.shape or (1,))
    parent, _, last = name.rpartition("/")
    del file[name]
    h5py.h5d.create((file[parent] if parent else file).id, last.encode(), h5py.h5t.NATIVE_INT32
                    if rng.random() < 0.3 else h5py.h5t.IEEE_F32LE, space, settings)


def fill(file, rng):
    """Never written: only the value that stands for all is in the file."""
    replaced(file, rng, fillvalue=chosen(rng, [0.5, math.nan, math.inf]))


def dtype(file, rng):
    kinds = ["S5", "i4", "u1", "?", "c8", "V7", [("x", "f4"), ("y", "i2")], np.longdouble,
             h5py.string_dtype(), h5py.vlen_dtype("f4"), h5py.ref_dtype, h5py.regionref_dtype,
             h5py.enum_dtype({"a": 1, "b": 2}), ("f4", (3,)), "f8", ">f2"]
    replaced(file, rng, dtype=chosen(rng, kinds))


def reshape(file, rng):
    name, old = chosen(rng, leaves(file))
    array = old[()]
    del file[name]
    file[name] = chosen(rng, [array.T, array.reshape(-1), array[..., :-1], array[None], array[:0],
                              np.float32(1), h5py.Empty("f4")])


def not_finite(file, rng):
    name, old = chosen(rng, leaves(file))
    if old.dtype.kind == "f" and old.size:
        array = old[()]
        values = [math.nan, math.inf, -math.inf, *[1e300] * (old.dtype.itemsize == 8)]
        array.flat[int(rng.integers(array.size))] = chosen(rng, values)
        old[...] = array


def exchange(file, rng):
    """Two arrays change places."""
    (a, _), (b, _) = chosen(rng, leaves(file)), chosen(rng, leaves(file))
    if a != b:
        file.move(a, "between")
        file.move(b, a)
        file.move("between", b)


def lead(file, rng):
    """A link out of the file, into nothing, or in a circle, in the place of something."""
    name = chosen(rng, [x.name for x in groups(file)[1:]] + [x for x, _ in leaves(file)])
    x = file[name]
    del file[name]
    file[name] = chosen(rng, [h5py.ExternalLink("/dev/tty", "/x"), h5py.ExternalLink("b.h5", "/"),
                              h5py.SoftLink("/nowhere"), h5py.SoftLink(name), file["/"], x])


def elsewhere(file, rng):
    name, old = chosen(rng, leaves(file))
    shape = old.shape or (1,)
    del file[name]
    if rng.random() < 0.5:
        file.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    else:
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource("other.h5", "x", shape)
        file.create_virtual_dataset(name, layout)


def attribute(file, rng):
    """An attribute with a value that no one expects."""
    group = chosen(rng, groups(file))
    names = [*group.attrs, "nb_layers", "layer_names", "weight_names", "layer_names0", "name"]
    long = "x" * 60_000
    values = [10**12, -1, math.nan, "", "a\nb\x00", b"\xff\xfe", long, [long[:9000]] * 6,
              np.zeros(5000, "S12"), np.zeros((30, 30)), h5py.Empty("f4"), ["zebra"] * 3000, 3.5,
              np.array(["aa"] * 3, "S"), ["zebra", "aa"], np.zeros(3, [("x", "i4")]), file.ref,
              ["../aa", "/", ".", ""], True]
    name, value = chosen(rng, names), chosen(rng, values)
    if name in group.attrs:
        del group.attrs[name]
    if len(str(value)) < 60_000:
        group.attrs[name] = value


def crowd(file, rng):
    """Groups by the thousand, beside each other or inside each other."""
    group = chosen(rng, groups(file))
    deep = rng.random() < 0.5
    for k in range(int(rng.integers(10, 2200))):
        x = group.create_group(chosen(rng, ["layers", "vars", "functional"]) if deep else f"l_{k}")
        group = x if deep else group


def rename(file, rng):
    name = chosen(rng, [x.name for x in groups(file)[1:]] + [x for x, _ in leaves(file)])
    file.move(name, chosen(rng, [name + "x", "y" * int(rng.integers(1, 50_000)), "conv2d_99999",
                                 "conv2d_" + "9" * 5000, "a\nb", "é\u2028", "layers", "vars"]))


def metadata(file, rng):
    """The description of the network, or of its classes, in an awkward form."""
    for name in ("model_config", "minicnn"):
        if name in file.attrs and rng.random() < 0.7:
            file.attrs[name] = awkward(file.attrs[name], rng)


ATTACKS = (huge_array, bomb, huge_chunk, wrong_chunk, unknown_filter, fill, dtype, reshape,
           not_finite, exchange, lead, elsewhere, attribute, crowd, rename, metadata)


# ---- attacks on JSON
def awkward(text, rng):
    """JSON with one of its values exchanged, or no JSON at all."""
    if rng.random() < 0.15:
        return chosen(rng, ["", "[" * 50_000, "{", "null", "[]", "NaN", "1" * 5000, '{"a": NaN}',
                            '{"config": ' * 900 + "1" + "}" * 900, text + "x", text[:-9]])
    tree = json.loads(text)
    spots = []

    def walk(node):
        for key in (node if isinstance(node, dict) else range(len(node))):
            spots.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])
    walk(tree)
    node, key = chosen(rng, spots)
    values = [10**9, -1, 0, 10**400, 1.5, math.nan, math.inf, "Lambda", "x" * 9999, "a\nb",
              None, True, [], {}, [[[]]], ["a", 0, 0], {"class_name": "Lambda", "config": {}},
              "os.system", [10**9] * 3, "aa", "relu", 3]
    if rng.random() < 0.1:
        del node[key]
    elif isinstance(node, list) and rng.random() < 0.3:
        node += [node[key]] * int(rng.integers(1, 3000))
    else:
        node[key] = chosen(rng, values)
    return json.dumps(tree)


def json_value(content, rng):
    return awkward(content.decode(), rng).encode("utf-8", "surrogatepass")


def json_text(content, rng):
    """Another encoding, JSON in JSON, what JSON lacks, or no description of a network."""
    text = content.decode()
    return chosen(rng, [b"\xef\xbb\xbf" + content, json.dumps(text).encode(), text.encode("utf-16"),
                        json.dumps(json.dumps(text)).encode(), content + b"\0", b" " * 5_000_000
                        + content, b'{"class_name": "Sequential"}', b'{"modelTopology": {}}',
                        b'{"a": ' * 20_000, text.replace("Conv2D", "Lambda").encode()])


JSON_ATTACKS = (json_value, json_text)


# ---- attacks on archives
@cache
def deflated_zeros():
    """A member of 256 MB that is 256 kB in the archive."""
    return zipped({"x": bytes(2**28)}, zipfile.ZIP_DEFLATED)


def zip_bomb(content, rng):
    name = chosen(rng, ["config.json", "model.weights.h5"])
    x, more = deflated_zeros().replace(b"x", name.encode(), 1), len(name) - 1
    at = x.rfind(b"PK\1\2")
    x = bytearray(x[:at] + x[at:].replace(b"x", name.encode(), 1))
    struct.pack_into("<H", x, 26, len(name))
    struct.pack_into("<H", x, at + 28, len(name))
    end = x.rfind(b"PK\5\6")
    size, offset = struct.unpack_from("<LL", x, end + 12)
    struct.pack_into("<LL", x, end + 12, size + more, offset + more)
    with zipfile.ZipFile(whole := io.BytesIO(x), "a") as out:
        out.writestr("config.json" if name != "config.json" else "model.weights.h5", "{}")
    return whole.getvalue()


def zip_entries(content, rng):
    """Entries outside, twice, missing; a member's text made awkward."""
    members = unzipped(content)
    what = int(rng.integers(5))
    if what == 0:
        members |= {"../../evil": b"x", "/tmp/evil": b"x", "C:\\evil": b"x"}
    if what == 1:
        del members[chosen(rng, list(members))]
    if what == 2:
        name = chosen(rng, ["config.json", "metadata.json"])
        members[name] = awkward(members[name].decode(), rng)
    content = io.BytesIO(zipped(members))
    if what == 3:
        with zipfile.ZipFile(content, "a") as out, warnings.catch_warnings(action="ignore"):
            out.writestr(chosen(rng, list(members)), b"{}")
    return content.getvalue()


def zip_fields(content, rng):
    """Flags (one says: encrypted), ways of packing, checksums, sizes and offsets that lie."""
    x = bytearray(content)
    at = x.find(chosen(rng, [b"PK\1\2", b"PK\3\4"]), int(rng.integers(len(x) // 2)))
    at = max(at, 0)
    spot = at + int(rng.integers(4, 46))
    if spot + 4 <= len(x):
        numbers = [0, 1, 9, 14, 255, 2**16, 2**31, 2**32 - 1]
        x[spot:spot + 4] = struct.pack("<L", chosen(rng, numbers))
    return bytes(x)


ZIP_ATTACKS = (zip_bomb, zip_entries, zip_fields)
DAMAGE = (*fuzzing.SIMPLE, *ATTACKS, *ZIP_ATTACKS, *JSON_ATTACKS)


def attacked(content, attack, rng):
    """An HDF5 file after an attack; the file itself where an attack does not fit it."""
    file = io.BytesIO(content)
    try:
        with h5py.File(file, "r+") as x:
            attack(x, rng)
    except (KeyError, ValueError, OSError, TypeError, RuntimeError, AttributeError):
        return content
    return file.getvalue()


def mutant(number, seed, seeds):
    """(name of the file, names of the damage, content), the same for the same number and seed."""
    rng = np.random.default_rng([seed, number])
    name = list(seeds)[number % len(seeds)]
    content, done = seeds[name], []
    zip_file = content[:2] == b"PK"
    if rng.random() < 0.55:
        attack = chosen(rng, JSON_ATTACKS if content[:1] == b"{" else
                        ATTACKS + ZIP_ATTACKS if zip_file else ATTACKS)
        done.append(attack.__name__)
        if attack in ZIP_ATTACKS + JSON_ATTACKS:
            content = attack(content, rng)
        elif zip_file:
            members = unzipped(content)
            members["model.weights.h5"] = attacked(members["model.weights.h5"], attack, rng)
            content = zipped(members)
        else:
            content = attacked(content, attack, rng)
    if not done or rng.random() < 0.2:
        members = unzipped(content) if zip_file and not done and rng.random() < 0.7 else None
        x = bytearray(members["model.weights.h5"] if members else content)
        for k in rng.integers(0, len(fuzzing.SIMPLE), rng.integers(1, 4)):
            if len(x):
                fuzzing.SIMPLE[k](x, rng)
                done.append(fuzzing.SIMPLE[k].__name__)
        content = zipped(members | {"model.weights.h5": bytes(x)}) if members else bytes(x)
    return name, done, content


# ---- the judge
def plain(path):
    """[(name or None, arrays)] by the file's own words, with h5py and no check at all."""
    content = path.read_bytes()
    if content[:2] == b"PK":
        content = zipfile.ZipFile(io.BytesIO(content)).read("model.weights.h5")
    with h5py.File(io.BytesIO(content)) as file:
        root = file.get("model_weights", file)
        attrs = root.attrs
        if "nb_layers" in attrs:
            found = [root[f"layer_{k}"] for k in range(attrs["nb_layers"])]
            found = [(None, [x[f"param_{p}"] for p in range(x.attrs.get("nb_params", 0))])
                     for x in found]
        elif "layer_names" in attrs or "layer_names0" in attrs:
            names = attrs["layer_names"] if "layer_names" in attrs else [
                n for k in range(9) for n in attrs.get(f"layer_names{k}", [])]
            found = [(n, [root[n][w] for w in root[n].attrs.get("weight_names", [])])
                     for n in (n.decode() if isinstance(n, bytes) else n for n in names)]
        else:
            layers = {key.rpartition("\\")[2]: root[key] for key in root
                      if key.count("\\") == 1} or root[
                "layers" if "layers" in root else "_layer_checkpoint_dependencies"]
            keys = sorted(layers, key=lambda k: (k.rstrip("0123456789_"), len(k), k))
            found = [(layers[k]["vars"].attrs.get("name"),
                      [layers[k]["vars"][p] for p in sorted(layers[k]["vars"], key=int)])
                     for k in keys if "vars" in layers[k]]
        return [(name.decode() if isinstance(name, bytes) else name, [x[()] for x in arrays])
                for name, arrays in found if arrays]


def same(net, note, path):
    """Does the network hold what the file says? Kernels from Theano are turned, so only sorted."""
    entries, held = plain(path), [layer for layer in net.layers if layer.params]
    by_name = dict(entries)
    if not set(by_name) >= {layer.name for layer in held}:
        kinds = [(next(iter(x.params.values())).ndim, len(x.params)) for x in held]
        entries = sorted(entries, key=lambda entry: (entry[1][0].ndim, len(entry[1])))
        by_name = {held[k].name: entries[i][1]
                   for i, k in enumerate(sorted(range(len(held)), key=lambda k: kinds[k]))}
    turned = "Theano" in note or "converted" in note
    for layer in held:
        for mine, theirs in zip(layer.params.values(), by_name[layer.name], strict=True):
            theirs = np.asarray(theirs).astype(np.float32)
            if turned:
                mine, theirs = np.sort(mine, None), np.sort(theirs, None)
            if not np.isfinite(mine).all() or mine.tobytes() != theirs.tobytes():
                return False
    return True


def state(net):
    return [net.classes, net.preprocessing, net.input_shape, net.name, net.weights_note,
            [(x.name, x.trainable, x.config(), {k: (p.dtype, p.shape, p.tobytes())
                                                for k, p in x.params.items()}) for x in net.layers]]


def load_weights(path):
    net = model()
    before = state(net)
    try:
        note = net.load_weights(path)
    except FileError:
        if state(net) != before:
            raise ValueError("the network has changed") from None
        raise
    return net, note


def load(path):
    net = mc.load(path)
    return net, net.weights_note


def load_json(path):
    """The network of a JSON file with the weights of weights_beside(path)."""
    net = mc.load(path, weights=weights_beside(path))
    return net, net.weights_note


def weights_beside(path):
    """A good file of weights, for a damaged description of the network."""
    weights = path.with_name("weights.h5")
    if not weights.exists():
        model().save(weights)
    return weights


def judge(path):
    """What minicnn makes of a file: "read", "refused", or what is wrong."""
    outcome = "refused"
    content = path.read_bytes().lstrip()
    json_file = content[:1] == b"{"
    for way in (load_weights, load, *[load_json] * json_file):
        try:
            net, note = way(path)
        except FileError as problem:
            if len(str(problem).splitlines()) != 1:
                return f"other error: lines {problem}"
            continue
        except BaseException as problem:  # whatever it is, it must be told
            return f"other error: {way.__name__} {type(problem).__name__} {problem}"
        try:
            if not same(net, note, weights_beside(path) if way is load_json else path):
                return f"wrong numbers: {way.__name__}"
        except Exception as problem:
            return f"wrong numbers: {way.__name__} read what h5py cannot, {problem!r}"
        outcome = "read"
    return outcome


def allowed(content, said):
    return False


if __name__ == "__main__":
    fuzzing.main(sys.modules[__name__], 20_000)

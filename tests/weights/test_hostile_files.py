"""Weight files from strangers: nothing is run, followed or filled; a sentence says what it was."""

import io
import itertools
import json
import os
import struct
import tracemalloc
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from makers import zipped

import minicnn as mc
from minicnn.training.state_files import read_state, write_state
from minicnn.utils.errors import FileError
from minicnn.weights import read_weights

from .fuzz import load_weights, model, state, unzipped
from .layouts import archive, write_b, write_f

PAIR = [("a", [np.ones((2, 2), np.float32), np.ones(2, np.float32)])]


def written(path, change=lambda file: None, write=write_b, libver="earliest"):
    with h5py.File(path, "w", libver=libver) as file:
        write(file, PAIR)
        change(file)
    return path


def in_bias_place(*args, **how):
    """Puts a dataset where layer a has its bias."""
    def change(file):
        del file["a/a_b_1:0"]
        file["a"].create_dataset("a_b_1:0", *args, **how)
    return change


def assert_refused(path, sentence, read=read_weights):
    """In one line, in little memory, and the file is not left open."""
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=sentence) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) <= 1100
    assert str(path) in str(caught.value)


# ---- nothing outside the file
def test_a_link_that_leads_outside_is_not_even_looked_through(tmp_path):
    """A pipe that nobody writes to: whoever opens it, waits for ever."""
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("model_weights", "layers", "a"):
        def change(file, name=name):
            if name == "a":
                del file["a"]
            else:
                del file.attrs["layer_names"]
            file[name] = h5py.ExternalLink(tmp_path / "pipe.h5", "/")
        path = written(tmp_path / "x.h5", change)
        with ThreadPoolExecutor(1) as pool:
            try:
                problem = pool.submit(read_weights, path).exception(timeout=20)
            finally:  # whoever waits at the pipe is let go
                os.close(os.open(tmp_path / "pipe.h5", os.O_RDWR))
        assert isinstance(problem, FileError) and "by a ExternalLink" in str(problem)


def test_nothing_of_an_archive_is_written_to_the_disk(tmp_path):
    members = unzipped(archive(PAIR)) | {"../evil": b"x", str(tmp_path / "evil"): b"x"}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.keras").write_bytes(zipped(members))
    (name, arrays), = read_weights(tmp_path / "in" / "x.keras")
    assert name == "a" and (arrays[0] == 1).all()
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["in", "x.keras"]


# ---- sizes are judged before anything is read
def packed(shape, chunks):
    """Puts packed zeros where layer a has its bias, and fills the file up, so that its limit of 32
    times its size allows them."""
    def change(file):
        in_bias_place(shape, "f4", chunks=chunks, compression="gzip", maxshape=(None,))(file)
        content = zlib.compress(bytes(4 * chunks[0]), 9)
        for at in range(0, shape[0], chunks[0]):
            file["a/a_b_1:0"].id.write_direct_chunk((at,), content)
        file["filling"] = np.zeros(4_000_000, np.float32)
    return change


@pytest.mark.parametrize("skip_mismatch", [False, True])
def test_an_array_that_no_layer_can_take_is_not_unpacked(tmp_path, skip_mismatch):
    """400 MB in a file of 16 MB, for a bias of two numbers."""
    path = written(tmp_path / "x.h5", packed((100_000_000,), (4_000_000,)))
    net = mc.Sequential([mc.Dense(2, name="a")], (2,))
    assert_refused(path, "holds a, but no layer's arrays have the shapes" if skip_mismatch else
                   r"expected b of shape \(2,\), received \(100000000,\)",
                   lambda path: net.load_weights(path, skip_mismatch))


def test_an_array_of_a_layer_that_the_network_lacks_is_not_unpacked(tmp_path):
    path = written(tmp_path / "x.h5", packed((100_000_000,), (4_000_000,)))
    with h5py.File(path, "a") as file:
        file["a"].move("a_b_1:0", "other")
        file["a/a_b_1:0"] = np.full(2, 3, np.float32)
        file.create_group("b").attrs["weight_names"] = [b"other"]
        file["b/other"] = file["a/other"]
        file.attrs["layer_names"] = [b"a", b"b"]
    net = mc.Sequential([mc.Dense(2, name="a")], (2,))
    tracemalloc.start()
    try:
        assert "skipped: b" in net.load_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()
    assert net["a"].params["b"].tolist() == [3, 3]


def test_a_packed_array_that_a_layer_takes_is_read(tmp_path):
    """As of a pruned network: 80 MB of zeros in a file of 16 MB."""
    path = written(tmp_path / "x.h5", packed((20_000_000,), (4_000_000,)))
    assert path.stat().st_size < 17e6
    with h5py.File(path, "a") as file:
        del file["a/a_W_1:0"]
        file["a/a_W_1:0"] = np.ones((1, 20_000_000), np.float32)
    net = mc.Sequential([mc.Dense(20_000_000, name="a")], (1,))
    net.load_weights(path)
    assert (net["a"].params["W"] == 1).all() and (net["a"].params["b"] == 0).all()


def test_a_chunk_far_larger_than_its_array_is_refused(tmp_path):
    """A bias of two numbers, cut out of a chunk of 400 MB."""
    path = written(tmp_path / "x.h5", packed((2,), (100_000_000,)))
    net = mc.Sequential([mc.Dense(2, name="a")], (2,))
    assert_refused(path, "/a/a_b_1:0: expected at most 64,000,000 bytes, received a claim of 400,0",
                   net.load_weights)


@pytest.mark.parametrize("key", ["W", "b"])
def test_an_array_that_fits_and_is_not_finite_is_refused_and_not_skipped(tmp_path, key):
    path = written(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        file[f"a/a_{key}_1:0"][1] = np.nan
    net = mc.Sequential([mc.Dense(2, name="a"), mc.Dense(7, name="head")], (2,))
    before = state(net)
    assert_refused(path, f"/a/a_{key}_1:0: expected finite numbers, received NaN",
                   lambda path: net.load_weights(path, skip_mismatch=True))
    assert state(net) == before


ZEROS = zlib.compress(bytes(2**24), 9)


def bomb(file):
    in_bias_place((2**30,), "f4", chunks=(2**22,), compression="gzip")(file)
    for k in range(256):
        file["a/a_b_1:0"].id.write_direct_chunk((k * 2**22,), ZEROS)


def many_at_one_place(file):
    """An array of 4 MB, promised a hundred times."""
    in_bias_place(data=np.ones(10**6, np.float32))(file)
    file["a"].attrs["weight_names"] = np.array(["a_b_1:0"] * 100, "S")


def many_layers(file):
    """A thousand layers that are one, of three arrays."""
    file["a"].attrs["weight_names"] = np.array(["a_b_1:0"] * 3, "S")
    file.attrs["layer_names"] = np.array(["a"] * 1000, "S")


def many_parts(file):
    del file.attrs["layer_names"]
    for k in range(30):
        file.attrs[f"layer_names{k}"] = np.array(["a"] * 100, "S")


def long_parts(file):
    """A list in three parts, each of them short enough."""
    del file.attrs["layer_names"]
    for k in range(3):
        file.attrs[f"layer_names{k}"] = np.array(["x" * 3_000_000], "S")


def long_text(file):
    file.attrs["backend"] = "x" * 5_000_000


def long_names(file):
    """Names of 2.1 MB each, in the heap of the file."""
    file.attrs.create("layer_names", ["x" * 2_100_000] * 2, dtype=h5py.string_dtype())


def chunks_again_and_again(file):
    """60,000 chunks under two names."""
    in_bias_place((60_000,), "f4", chunks=(1,), fillvalue=0)(file)
    file["a/a_b_1:0"][...] = 1
    file["a"].attrs["weight_names"] = np.array(["a_b_1:0"] * 2, "S")


def many_chunks(file):
    in_bias_place((200_000,), "f4", chunks=(1,), fillvalue=0)(file)
    file["a/a_b_1:0"][...] = 1


CLAIMS = {
    "a terabyte": (in_bias_place((10**12,), "f4"), "a claim of 4,000,000,000,016"),
    "a terabyte in chunks": (in_bias_place((10**12,), "f4", chunks=(2**16,)), "a claim of 4,0"),
    "never written": (in_bias_place((2**28,), "f4", fillvalue=1), "a claim of 1,073,741,840"),
    "a bomb": (bomb, "a claim of 4,294,967,312"),
    "a chunk": (in_bias_place((2,), "f4", chunks=(2**28,), maxshape=(None,)),
                "/a/a_b_1:0: expected at most 64,000,000 bytes, received a claim of 1,07"),
    "one array again and again": (many_at_one_place, r"expected at most 1\d\d,\d+,\d+ bytes, r"),
    "a long text": (lambda file: file.attrs.create("layer_names", np.zeros(9, "S1000000")),
                    "layer_names: expected at most 4,000,000 bytes, received a claim of 9,000,000"),
    "one long text": (long_text, "backend: expected at most 4,000,000 bytes, received a claim of"),
    "two long names": (long_names, "layer_names: expected at most 4,000,000 bytes, received a "
                       "claim of 4,200,000"),
    "many names": (lambda file: file.attrs.create("layer_names", np.array(["a"] * 2001, "S")),
                   "/: expected at most 2,000 layer_names, received more"),
    "many parts": (many_parts, "/: expected at most 2,000 layer_names, received more"),
    "long parts": (long_parts, "/: expected at most 4,000,000 characters of layer_names, rec"),
    "many layers": (many_layers, "expected at most 2,000 arrays, received more"),
    "many chunks": (many_chunks, "/a/a_b_1:0: expected at most 100,000 chunks in all, receiv"),
    "chunks again and again": (chunks_again_and_again, "100,000 chunks in all, received 120,000"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_what_claims_more_than_the_file_can_hold_is_refused_unread(tmp_path, case):
    change, sentence = CLAIMS[case]

    assert_refused(written(tmp_path / "x.h5", change, libver="latest"), sentence)


def test_a_million_groups_are_counted_not_listed(tmp_path):
    def million(file):
        """One group under 2,100 names costs the file as many entries as other groups."""
        x = file.create_group("layers/dense")
        for k in range(2_100):
            file["layers"][f"dense_{k}"] = x
    path = written(tmp_path / "x.h5", lambda f: None, lambda file, _: million(file))
    assert_refused(path, "/layers: expected at most 2,000 entries, received 2,101")


def test_models_inside_models_end_after_eight(tmp_path):
    def deep(file, _):
        group = file
        for _ in range(20_000):
            group = group.create_group("layers").create_group("functional")
    assert_refused(written(tmp_path / "x.h5", write=deep), "at most 8 models inside one another")


def test_one_model_inside_many_models_is_not_walked_through_each_time(tmp_path):
    """Six floors of 40 doors each: four thousand million ways."""
    def doors(file, _):
        below = file.create_group("end")
        for floor in range(6):
            here = file.create_group(f"floor{floor}/layers")
            for k in range(40):
                here[f"functional_{k}"] = below
            below = file[f"floor{floor}"]
        file["layers"] = below["layers"]
    assert_refused(written(tmp_path / "x.h5", write=doors), "expected at most 2,000 arrays")


def test_a_real_file_that_is_well_compressed_is_read(tmp_path):
    path = written(tmp_path / "x.h5", in_bias_place(
        data=np.zeros(2**22, np.float32), compression="gzip"))
    assert path.stat().st_size < 2**17
    assert len(read_weights(path)[0][1][1]) == 2**22


def test_an_unknown_filter_is_refused_by_its_number(tmp_path):
    def change(file):
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((2,))
        settings.set_filter(307, h5py.h5z.FLAG_OPTIONAL, ())  # bzip2, a plug-in
        del file["a/a_b_1:0"]
        h5py.h5d.create(file["a"].id, b"a_b_1:0", h5py.h5t.IEEE_F32LE,
                        h5py.h5s.create_simple((2,)), settings)
    assert_refused(written(tmp_path / "x.h5", change),
                   r"received HDF5's filters \[307\]; save it plain")


@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize("more", [0, 6])
@pytest.mark.parametrize("attack", ["length", "one text"])
def test_references_to_texts_are_not_believed(tmp_path, userblock, more, attack):
    """HDF5 allocates the length beside each, up to 4 GB, before it looks for the text; and many may
    lead to the same text."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="earliest", userblock_size=userblock) as file:
        write_b(file, PAIR)
        del file.attrs["layer_names"]
        for k in range(more):  # they fill the header, which goes on elsewhere
            file.attrs[f"other {k}"] = "z" * 9
        file.attrs["layer_names"] = ["a", "x" * 900, *(f"{k:09}" for k in range(1700))]
        for name in file.attrs["layer_names"][1:]:
            file[name] = file["a"]
    with pytest.raises(FileError, match="expected at most 2,000 arrays"):
        read_weights(path)  # the names themselves are read
    content = path.read_bytes()
    heaps = [at for at in range(len(content)) if content[at:at + 5] == b"GCOL\1"]
    at, = (content.find(x) for x in (struct.pack("<LQ", 900, heap - userblock) for heap in heaps)
           if x in content)
    if attack == "length":
        claim = 1 + 1700 * 9 + 0xFFFFFFF0
        content = content[:at] + b"\xf0\xff\xff\xff" + content[at + 4:]
    else:  # 1,700 times the 900 bytes are less than 4 MB: so they are 16 times as long
        claim = 1 + 1701 * 14_400
        long = struct.pack("<L", 14_400) + content[at + 4:at + 16]
        content = content[:at] + long * 1701 + content[at + 16 * 1701:]
    path.write_bytes(content)
    assert_refused(path, "layer_names: expected at most 4,000,000 bytes, received a claim of "
                         f"{claim:,}")


@pytest.mark.parametrize("kind", ["numbers of variable length", "reference"])
def test_an_attribute_that_is_no_text_is_not_read(tmp_path, kind):
    def change(file):
        if kind == "reference":
            file.attrs["backend"] = file.ref
        else:
            value = np.empty(1, object)
            value[0] = np.ones(3, np.float32)
            file.attrs.create("backend", value, (1,), h5py.vlen_dtype("f4"))
    assert_refused(written(tmp_path / "x.h5", change), "backend: expected text or numbers")


# ---- chunks that are not what they say, on which HDF5 reads past the end of the memory
CONTENT = np.arange(64, dtype=np.float32)


def in_chunk(content, mask=0, **how):
    def change(file):
        in_bias_place((64,), "f4", chunks=(64,), **how)(file)
        file["a/a_b_1:0"].id.write_direct_chunk((0,), content, mask)
    return change


SHORT = zlib.compress(CONTENT.tobytes())


@pytest.mark.parametrize("change", [
    in_chunk(SHORT, 1, compression="gzip"), in_chunk(SHORT[:-9], compression="gzip"),
    in_chunk(zlib.compress(b"short"), compression="gzip"),
    in_chunk(zlib.compress(CONTENT.tobytes() + b"long"), compression="gzip"),
    in_chunk(ZEROS, compression="gzip"), in_chunk(b"no gzip", compression="gzip"),
    in_chunk(b"abc", shuffle=True), in_chunk(b"ab", fletcher32=True),
    in_chunk(CONTENT.tobytes(), fletcher32=True), in_chunk(CONTENT.tobytes(), 1, fletcher32=True),
    in_chunk(CONTENT.tobytes() + b"fake", fletcher32=True)])
def test_a_chunk_of_another_length_is_refused_and_not_read_past_its_end(tmp_path, change):
    assert_refused(written(tmp_path / "x.h5", change), "a chunk |reading stopped at: ")


def test_bytes_shuffled_as_those_of_other_numbers_are_refused(tmp_path):
    """HDF5 would put them together by the size in the file, 10 bytes, and read other numbers."""
    how = {"chunks": (2,), "compression": "gzip", "shuffle": True}
    path = written(tmp_path / "x.h5", in_bias_place(data=np.float32([1, 2]), **how))
    content, four = path.read_bytes(), b"shuffle\0" + struct.pack("<I", 4)
    assert content.count(four) == 1
    path.write_bytes(content.replace(four, b"shuffle\0" + struct.pack("<I", 10)))
    assert_refused(path, "/a/a_b_1:0: its bytes are shuffled as those of other numbers")


@pytest.mark.parametrize("how", [{}, {"shuffle": True}, {"compression": "gzip"},
                                 {"compression": "gzip", "shuffle": True}, {"fletcher32": True}])
@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
@pytest.mark.parametrize("chunks", [(2, 3, 4), (1, 1, 1), (5, 7, 6), (3, 7, 1)])
def test_chunks_of_any_size_come_out_exactly(tmp_path, rng, how, dtype, chunks):
    W = rng.normal(size=(5, 7, 6)).astype(dtype)
    path = written(tmp_path / "x.h5", in_bias_place(data=W, chunks=chunks, **how))
    received = read_weights(path)[0][1][1]
    assert (received == W).all() and received.dtype == ("f8" if dtype == "<f8" else "f4")


def test_a_chunk_that_was_never_written_is_its_fill_value_as_in_hdf5(tmp_path):
    def change(file):
        in_bias_place((8,), "f4", chunks=(2,), compression="gzip", fillvalue=7)(file)
        file["a/a_b_1:0"][2:4] = [1, 2]
    received = read_weights(written(tmp_path / "x.h5", change))[0][1][1]
    assert received.tolist() == [7, 7, 1, 2, 7, 7, 7, 7]


# ---- wrong numbers
@pytest.mark.parametrize("dtype, name", [
    ("S5", r"\|S5"), (h5py.string_dtype(), "object"), ("i4", "int32"), ("u1", "uint8"),
    ("?", "bool"), ("c8", "complex64"), ("V7", r"\|V7"), ([("x", "f4")], r"\[\('x'"),
    (h5py.vlen_dtype("f4"), "object"), (h5py.ref_dtype, "object"),
    (h5py.enum_dtype({"a": 1}, "i2"), "int16"), (np.longdouble, "float128|longdouble")])
def test_what_is_not_a_float_is_refused_by_its_name(tmp_path, dtype, name):
    path = written(tmp_path / "x.h5", in_bias_place((2,), dtype))
    assert_refused(path, f"/a/a_b_1:0: expected floats of 16, 32 or 64 bits, received {name}")


@pytest.mark.parametrize("value, dtype", [
    *itertools.product([np.nan, np.inf, -np.inf], ["<f2", ">f4", "f8"]),
    (1e300, "<f8"), (-3.5e38, ">f8")])  # infinite once they are float32
def test_weights_that_are_not_finite_are_refused_by_the_name_of_the_array(tmp_path, value, dtype):
    path = written(tmp_path / "x.h5", in_bias_place(data=np.array([1, value], dtype)))
    assert_refused(path, r"/a/a_b_1:0: expected finite numbers, received NaN or infinite ones \(as "
                         r"float32\); the training that wrote them had failed, or the file is da")


# ---- attributes of another kind
@pytest.mark.parametrize("write, name, value, sentence", [
    (write_b, "backend", 3, "expected text as backend, received int64"),
    (write_b, "layer_names", [1.5], "expected text as layer_names, received float64"),
    (write_b, "model_config", [1, 2], "expected text as model_config, received ndarray"),
    (lambda f, n: None, "nb_layers", 10**12, "expected an int of at most 2,000 as nb_layers"),
    (lambda f, n: None, "nb_layers", "many", "expected an int of at most 2,000 as nb_layers"),
    (lambda f, n: None, "nb_layers", -1, "expected an int of at most 2,000 as nb_layers")])
def test_an_attribute_of_another_kind_is_refused(tmp_path, write, name, value, sentence):
    path = written(tmp_path / "x.h5", lambda file: file.attrs.update({name: value}), write)
    assert_refused(path, sentence)


def test_names_that_no_screen_can_show_make_a_sentence_of_one_line(tmp_path):
    path = written(tmp_path / "x.h5", lambda file: file.attrs.update(
        layer_names=["a\n\x1b[31m\u2028" + "b" * 900]))
    assert_refused(path, r"expected 'a.*found nothing there; the file is incomplete, download or")


# ---- ways without end
def test_a_name_that_leads_round_in_a_circle_is_not_followed(tmp_path):
    def circle(file, _):
        group = file.create_group("a")
        group["a"] = group
        file.attrs["layer_names"] = ["/".join("a" * 100)]
        group.attrs["weight_names"] = np.empty(0)
    assert_refused(written(tmp_path / "x.h5", write=circle), "/: expected names of at most 1,000 "
                   "characters and 16 parts, received 199 characters: 'a/a/a")


def test_heaps_inside_heaps_are_not_walked_through_each_time(tmp_path):
    """Four thousand heads of heaps, each of which has all that follow in it."""
    path = written(tmp_path / "x.h5", lambda file: file.attrs.update(backend="numpy"))
    content, many = path.read_bytes(), 4_000
    heads = b"".join(b"GCOL\1\0\0\0" + struct.pack("<QHHIQ", 32 * (many - k) + 16, 1, 1, 0, 16)
                     for k in range(many))
    path.write_bytes(content + bytes(-len(content) % 8) + heads + bytes(16))
    assert_refused(path, "a text of variable length is longer than its heap")


# ---- archives
def with_config(text):
    return zipped(unzipped(archive(PAIR)) | {"config.json": text}, zipfile.ZIP_DEFLATED)


def doubled(name):
    content = io.BytesIO(archive(PAIR))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(content, "a") as out:
        out.writestr(name, "{}")
    return content.getvalue()


def patched(mark, offset, value):
    """A number of the zip file's own, changed."""
    content = bytearray(archive(PAIR))
    at = content.find(mark) if mark != b"PK\1\2" else content.rfind(mark)
    content[at + offset:at + offset + len(value)] = value
    return bytes(content)


def crowded():
    """Entries by the thousand: their directory alone is 4.4 MB."""
    return zipped(unzipped(archive(PAIR)) | {f"{k:0400}": b"" for k in range(10_000)})


ARCHIVES = {
    "twice": (lambda: doubled("model.weights.h5"), "expected one model.weights.h5 in it, found 2"),
    "no config": (lambda: zipped({"model.weights.h5": b""}), "expected one config.json in it, fo"),
    "encrypted": (lambda: patched(b"PK\1\2", 8, b"\1\0"), "is encrypted, password required"),
    "checksum": (lambda: patched(b"PK\1\2", 16, b"abcd"), "Bad CRC-32 for file 'model.weights.h5'"),
    "size that lies": (lambda: patched(b"PK\1\2", 24, b"\x10\0\0\0"), "Bad CRC-32"),
    "huge size": (lambda: patched(b"PK\1\2", 24, b"\0\0\0\x70"), "model.weights.h5: expected at "
                  "most 64,000,000 bytes, received a claim of 1,879,048,192"),
    "large config": (lambda: with_config(bytes(5_000_000)), "config.json: expected at most 4,000,"),
    "lzma": (lambda: zipped(unzipped(archive(PAIR)), zipfile.ZIP_LZMA),
             "expected config.json stored or deflated, received it packed with zip's method 14"),
    "many entries": (crowded, "the archive's directory: expected at most 4,000,000 bytes"),
    "no zip": (lambda: b"PK\3\4" + bytes(999), "is cut short: .* received 1,003 bytes")}


@pytest.mark.parametrize("case", ARCHIVES)
def test_an_archive_that_is_not_what_keras_writes_is_refused(tmp_path, case):
    make, sentence = ARCHIVES[case]
    (tmp_path / "x.keras").write_bytes(make())
    assert_refused(tmp_path / "x.keras", sentence)


# ---- descriptions
def described(path, change):
    """Our own file, its description or its metadata changed."""
    model().save(path)
    with h5py.File(path, "a") as file:
        for name in ("model_config", "minicnn"):
            file.attrs[name] = json.dumps(change(json.loads(file.attrs[name])))
    return path


def layer(which, /, **changes):
    def change(tree):
        for entry in tree["config"]["layers"] if "config" in tree else ():
            if entry["config"]["name"] == which:
                entry["config"] |= changes
        return tree
    return change


def many_times(tree):
    if "config" in tree:
        tree["config"]["layers"] *= 300
    return tree


DESCRIPTIONS = {
    "huge Dense": (layer("fc one", units=10**9),
                   r"layer 'fc one': expected W of shape \(16, 1000000000"),
    "huge Conv2D": (layer("zebra", filters=10**12), "layer 'zebra': expected W of shape"),
    "small Resizing": (layer("size", height=2), "crop: expected x of at least 8 × 8 pixels"),
    "huge crop": (layer("crop", height=10**9), "crop: expected x of at least 1000000000 × 8 pix"),
    "huge shape": (layer("shape", target_shape=[10**9, -1, 3]), "shape: expected x of as many"),
    "a network that does not fit": (layer("input_layer", batch_shape=[None, 8]),
                                    "x.h5: describes a network that does not fit together: size"),
    "text as size": (layer("input_layer", batch_shape=[None, "8", 8, 3]),
                     "expected an input shape of ints"),
    "a name that is none": (layer("size", name={"a": 1}),
                            r"a text as name, received 1, .* a Resizing of name {'a': 1}"),
    "NaN": (layer("zebra", filters=float("nan")), "expected finite numbers .*, received NaN"),
    "many layers": (many_times, "expected at most 2,000 layers"),
    "classes": (lambda t: {**t, "classes": "ab"} if "classes" in t else t,
                "expected classes and preprocessing that fit the network"),
    "class of no text": (lambda t: {**t, "classes": [1, 2]} if "classes" in t else t,
                         "expected classes and preprocessing that fit the network"),
    "a class that rings": (lambda t: {**t, "classes": ["a", "\x1b[2J\a"]} if "classes" in t else t,
                           r"\(classes are a list of printable names\)"),
    "preprocessing": (lambda t: {**t, "preprocessing": [1]} if "classes" in t else t,
                      "expected classes and preprocessing that fit the network"),
    **{f"preprocessing {empty!r}": (
        lambda t, empty=empty: {**t, "preprocessing": empty} if "classes" in t else t,
        "expected classes and preprocessing that fit the network") for empty in ([], "", 0, False)},
}


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_a_description_that_does_not_fit_its_weights_is_refused_before_it_is_built(tmp_path, case):
    change, sentence = DESCRIPTIONS[case]
    assert_refused(described(tmp_path / "x.h5", change), sentence, mc.load)


@pytest.mark.parametrize("text, sentence", [
    ("[" * 100_000, "nested too deeply"), ("1" * 5000, "reading stopped at"),
    ('{"a": 1', "reading stopped at"), ("[]", "reading stopped at"),
    ('{"class_name": "Lambda", "config": {}}', "received a Lambda; minicnn never runs code"),
    (json.dumps({"class_name": "Sequential", "config": {"layers": [
        {"class_name": "Lambda", "config": {"name": "x", "function": ["4wEA"]}}]}}),
     "is a Lambda, which holds code; minicnn never runs code from a file")])
def test_the_description_in_an_archive_is_judged_like_any_other(tmp_path, text, sentence):
    (tmp_path / "x.keras").write_bytes(with_config(text))
    assert_refused(tmp_path / "x.keras", sentence, mc.load)


# ---- all or nothing
def test_a_kernel_of_theano_that_is_a_single_number_is_refused(tmp_path):
    network = [(x.name, list(x.params.values())) for x in model().layers if x.params]
    network = [(name, [a.transpose(3, 2, 0, 1) if a.ndim == 4 else a for a in arrays])
               for name, arrays in network]
    dict(network)["fc one"][0] = np.float32(1)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_b(file, network)
    assert_refused(tmp_path / "x.h5", r"layer 'fc one': expected W of shape .*, received \(\)",
                   model().load_weights)


def test_a_file_refused_at_its_last_array_leaves_the_network_bit_for_bit(tmp_path):
    net = model()
    net.save(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["model_weights/10/10/bias"][1] = np.nan
    net["zebra"].params["W"] += 1
    net["aa"].trainable = False
    before = state(net)
    for read in (net.load_weights, mc.load):
        assert_refused(tmp_path / "x.h5", "/model_weights/10/10/bias: expected finite", read)
    assert state(net) == before


def test_a_checkpoint_is_judged_by_the_same_rules(tmp_path):
    write_state(tmp_path / "x.h5", {"weights": np.ones(5, np.float32)})
    assert (read_state(tmp_path / "x.h5")["weights"] == 1).all()
    with h5py.File(tmp_path / "x.h5", "a") as file:
        del file["state"]
        file.create_dataset("state", (10**12,), "u1")
    assert_refused(tmp_path / "x.h5", "a claim of", read_state)


def test_layouts_f_and_b_of_one_network_load_the_same(tmp_path):
    """The elephant in small; test_fuzz_weights.py has every layout."""
    network = [(x.name, list(x.params.values())) for x in model().layers if x.params]
    for write in (write_b, write_f):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            write(file, network)
        net, note = load_weights(tmp_path / "x.h5")
        assert "skipped: none" in note and state(net)[5] == state(model())[5]

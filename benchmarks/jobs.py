"""Whole jobs, each in a process of its own, as a student would write them.

    python -m benchmarks.jobs JOB ENGINE FOLDER [N]

JOB: inference, transfer, block5, cold, growth; ENGINE: minicnn, keras, keras-features, of inference
minicnn and the variants of benchmarks/engines.py (torch, onnxruntime, openvino-latency, …). FOLDER
holds photos/CLASS/*.jpg and base.weights.h5 (benchmarks/rows_jobs.py makes both); what a job saves
is written there. The last line that a job prints is the peak of its memory in bytes; of inference,
what that is above the memory when the weights are loaded and packed as the engine wants them, so
that further copies of them, which ONNX Runtime and OpenVINO make then, do not count against it.
Engines are imported where they are used, as importing is part of the job.
"""

import ctypes
import gc
import os
import sys
from pathlib import Path

SIZE, BATCH = 96, 32


def memory(entry):
    """VmRSS, what of this process lies in memory, or VmHWM, the most that did; bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(entry)))


def photos(folder, size, n):
    """x (n, size, size, 3) uint8 and labels, with Pillow, for Keras: the same photos, cut alike."""
    import numpy as np
    from PIL import Image

    files = sorted((folder / "photos").glob("*/*.jpg"))
    files = files[::len(files) // n]
    classes = sorted({file.parent.name for file in files})
    x = np.stack([np.asarray(Image.open(file).resize((size, size))) for file in files])
    return x, np.array([classes.index(file.parent.name) for file in files])


def inference(engine, folder, n):
    """n photos of 224 pixels through the base, twice -> bytes above the weights."""
    import numpy as np

    x = np.random.default_rng(0).normal(size=(n, 224, 224, 3)).astype(np.float32)
    import minicnn as mc

    model = mc.VGG16(include_top=False, input_shape=(224, 224, 3))
    if engine == "minicnn":
        def run():
            return model.forward(x, keep=False)
    else:
        from benchmarks.engines import BUILDERS
        from minicnn.ops.fast.threads import num_threads

        run = BUILDERS[engine](model, x, num_threads())
        del model, x
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back, so that it is no hidden reserve
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    for _ in range(2):
        run()
    return memory("VmHWM") - before


def transfer(engine, folder, n, epochs=20, frozen=True, size=SIZE):
    """A new head on the base, 20 epochs; the model is saved."""
    if engine == "minicnn":
        import minicnn as mc

        data = mc.data.ImageFolder(folder / "photos")
        data = data.subset(range(0, len(data), len(data) // n))
        model = mc.VGG16(include_top=False, input_shape=(size, size, 3))
        model.freeze(None if frozen else "block4_pool")
        model.replace_head([mc.Dense(1, kernel_initializer="zeros"), mc.Sigmoid()])
        mc.fit(model, data, mc.losses.BinaryCrossEntropy(), mc.optimizers.Adam(1e-5),
               epochs=epochs, batch_size=BATCH)
        model.save(folder / "minicnn.h5")
        return
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    x, t = photos(folder, size, n)
    x = keras.applications.vgg16.preprocess_input(x.astype("float32"))
    base = keras.applications.VGG16(include_top=False, weights=folder / "base.weights.h5",
                                    input_shape=(size, size, 3))
    for layer in base.layers:
        layer.trainable = not frozen and layer.name.startswith("block5")
    head = keras.Sequential([keras.layers.Flatten(),
                             keras.layers.Dense(1, "sigmoid", kernel_initializer="zeros")])
    model = keras.Sequential([keras.Input((size, size, 3)), base, head])
    learner = model
    if engine == "keras-features":
        x, learner = base.predict(x, batch_size=BATCH, verbose=0), head
    learner.compile(keras.optimizers.Adam(1e-5), "binary_crossentropy", metrics=["accuracy"])
    learner.fit(x, t, batch_size=BATCH, epochs=epochs, verbose=0)
    model.save(folder / "keras.keras")


def block5(engine, folder, n):
    """Block 5 and the head learn, 10 epochs."""
    transfer(engine, folder, n, epochs=10, frozen=False)


def growth(engine, folder, n):
    """The transfer job on the first n photos, at 64 pixels."""
    transfer(engine, folder, n, size=64)


def cold(engine, folder, n):
    """From nothing to the features of one photo."""
    if engine == "minicnn":
        import minicnn as mc

        model = mc.VGG16(include_top=False, input_shape=(224, 224, 3))
        photo = mc.data.read_image(next((folder / "photos").glob("*/*.jpg")))
        model.predict(mc.data.resize_and_crop(photo, (224, 224))[None])
        return
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    base = keras.applications.VGG16(include_top=False, weights=folder / "base.weights.h5",
                                    input_shape=(224, 224, 3))
    x, _ = photos(folder, 224, 1)
    base.predict(keras.applications.vgg16.preprocess_input(x.astype("float32")), verbose=0)


if __name__ == "__main__":
    job, engine, folder, *n = sys.argv[1:]
    above = {"inference": inference, "transfer": transfer, "block5": block5, "cold": cold,
             "growth": growth}[job](engine, Path(folder), int(n[0]) if n else None)
    print(memory("VmHWM") if above is None else above)

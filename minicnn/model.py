"""Sequential: layers in a row. forward goes down the list, backward comes back up."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from . import summary, weights
from .data.keras_resizing import resize_as_keras, resizes_as_keras
from .inference import infer
from .layers import ACTIVATION_LAYERS, NOISE_LAYERS, Dense, Flatten, Layer
from .layers.checks import required_dx
from .layers.naming import layer_names
from .ops import device_of, module_of, to_cpu, to_device
from .preprocessing import Preprocessing, warn_of_pixels, wrong_shape
from .utils.errors import ArgumentError, ShapeError, check_int
from .utils.suggest import layer_index


class Sequential:
    """A network y = f_L(… f_2(f_1(x))).

    layers:        Layer objects; unnamed ones are named after their class: conv2d, conv2d_1, …
    input_shape:   (H, Wd, C) or (D,), without N.
    seed:          of the starting values; None leaves zeros, for weights that are loaded next.
    preprocessing: from pixels to x. classes: names of the outputs. Both are saved with the model.
    Raises:        ShapeError if a layer does not fit the one before it, ArgumentError if the
                   preprocessing does not fit the input.
    """

    def __init__(self, layers: Iterable[Layer], input_shape: tuple[int, ...], seed: int | None = 0,
                 name: str = "sequential", preprocessing: Preprocessing | None = None,
                 classes: Sequence[str] | None = None) -> None:
        if not isinstance(input_shape, (tuple, list)) or not input_shape:
            raise ArgumentError(f"Sequential: expected input_shape (H, W, C) or (D,), without N, "
                                f"received {input_shape!r}.")
        self.input_shape = tuple(check_int(n, "Sequential, input_shape") for n in input_shape)
        self.name, self.preprocessing = name, preprocessing
        self.classes = None if classes is None else list(classes)
        self.weights_note = ""  # what the last loading of weights has set, for summary
        self.layers: list[Layer] = []
        self.moved_to = "cpu"
        self.cached_shape: tuple[int, ...] | None = None  # of y, if forward has kept caches
        self.layers = self._build(list(layers), 0, seed, classes)

    def _build(self, layers: list[Layer], start: int, seed: int | None,
               classes: Sequence[str] | None) -> list[Layer]:
        """Names and builds layers[start:] after those built; raises before drawing anything."""
        for layer, name in zip(layers, layer_names(layers), strict=True):
            layer.name = name  # changes new layers only
        shapes = self.shapes(layers)
        expected = (2,) if shapes[-1] == (1,) else shapes[-1]
        if classes is not None and (len(classes),) != expected:
            raise ArgumentError(f"{self.name}: expected a class for each output {shapes[-1]}, two "
                                f"for a single one, received {len(classes)}: {list(classes)}.")
        for i, layer in enumerate(layers[start:], start):
            layer.build(shapes[i], None if seed is None else np.random.default_rng([seed, i]))
            layer.auto_named = False
            layer.to(self.device)
        return layers

    def shapes(self, layers: list[Layer] | None = None) -> list[tuple[int, ...]]:
        """Shapes without N: of the input, then of every layer's output."""
        shapes = [self.input_shape]
        for layer in self.layers if layers is None else layers:
            shapes.append(layer.output_shape(shapes[-1]))
        return shapes

    # Computing

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The recipe from pixels to x."""
        return self._preprocessing

    @preprocessing.setter
    def preprocessing(self, recipe: Preprocessing | None) -> None:
        """Raises ArgumentError for a recipe that does not fit the input."""
        if recipe is not None:
            recipe.check_fits(self.input_shape, self.name)
        self._preprocessing = recipe

    def check(self, x: np.ndarray) -> None:
        """Raises unless x is (N, *input_shape); if the recipe is grey, x may also be colour photos,
        uint8 (N, H, Wd, 3)."""
        if np.shape(x)[1:] != self.input_shape:
            grey = self.preprocessing is not None and self.preprocessing.channels == 1
            if not grey or x.dtype != np.uint8 or x.shape[1:] != (*self.input_shape[:2], 3):
                raise wrong_shape(np.shape(x), self.input_shape, self.name)

    def check_images(self, images: np.ndarray) -> None:
        """As check, for images that to_input may resize; the first one stands for all."""
        resized = self.resize(first := images[:1])
        self.check(images if resized is first else resized)

    def resize(self, images: np.ndarray) -> np.ndarray:
        """images (N, H', Wd', C) at the network's size, float32, if the recipe is to resize them as
        Keras does and they have another; else as they are."""
        recipe = self.preprocessing
        if (recipe is None or not resizes_as_keras(recipe) or np.ndim(images) != 4
                or 0 in images.shape or images.shape[1:3] == self.input_shape[:2]):
            return images
        H, Wd, _ = self.input_shape  # which the recipe fits
        resized = resize_as_keras(images, (H, Wd), recipe)
        return resized[..., :recipe.channels]  # of a colour photo that became grey: one

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, *input_shape) -> y. keep: the layers cache what backward needs; without it
        inference/ computes y, with fewer arrays on the way."""
        self.check(x)
        if device_of(x) != self.device:
            raise ArgumentError(f"{self.name}: expected x on {self.device}, as the weights, "
                                f"received x on {device_of(x)}. Move one: model.to(…), or "
                                f"to_device(x, …).")
        self.cached_shape = None
        if not keep:
            return infer(self, x, training)
        for layer in self.layers:
            x = layer.forward(x, training)
        self.cached_shape = x.shape
        return x

    def backward(self, dy: np.ndarray, input_gradient: bool = True,
                 layer_done: Callable[[Layer], None] = lambda layer: None) -> np.ndarray | None:
        """dy = dL/dy -> dx = dL/dx, assigning every trainable layer's grads on the way; layer_done
        is called with each layer whose backward has run, the last layer first.

        input_gradient=False is a training step: it stops at the lowest trainable layer, which
        computes no dx (Layer.needs_dx), and returns None. fit splits frozen first layers off
        before (split); then the lowest trainable layer is the first one.
        """
        if self.cached_shape is not None and np.shape(dy) != self.cached_shape:
            raise ShapeError(f"{self.name}: expected dy of the shape of y, {self.cached_shape}, "
                             f"received {np.shape(dy)}. Is it the gradient of another batch?")
        if input_gradient:
            for layer in reversed(self.layers):
                dy = required_dx(layer, layer.backward(dy))
                layer_done(layer)
            return dy
        trainable = [i for i, layer in enumerate(self.layers) if layer.trainable and layer.params]
        if not trainable:
            return None
        lowest, *above = self.layers[trainable[0]:]
        for layer in reversed(above):
            dy = required_dx(layer, layer.backward(dy))
            layer_done(layer)
        lowest.needs_dx = False
        try:
            lowest.backward(dy)
        finally:
            lowest.needs_dx = True
        layer_done(lowest)
        return None

    def to_input(self, images: np.ndarray) -> np.ndarray:
        """uint8 pixels (N, H, Wd, 3) -> x by the model's preprocessing; floats are x already.
        Both are moved to the model's device. A grey model takes grey pixels (N, H, Wd, 1), too."""
        resized = images if self.preprocessing is None else self.resize(images)
        x = to_device(resized, self.device)
        if images.dtype != np.uint8:
            return x
        if self.preprocessing is None:
            raise ArgumentError(f"{self.name}: expected floats, received uint8 pixels, and this "
                                f"model has no preprocessing for them. Give it one: "
                                f"model.preprocessing = Preprocessing(…).")
        return self.preprocessing(x)

    def predict(self, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """images (N, *input_shape) -> y, in batches, keeping nothing. uint8 images are pixels and
        preprocessed here; floats are network input already, and if they look like pixels instead,
        a warning says so. NumPy in, NumPy out, on any device."""
        images = to_cpu(images)
        self.check_images(images)
        warn_of_pixels(images, self.preprocessing, self.name)
        batch_size = check_int(batch_size, f"{self.name}, batch_size")
        y = [to_cpu(self.forward(self.to_input(images[i:i + batch_size]), keep=False))
             for i in range(0, len(images), batch_size)]
        return np.concatenate(y) if y else np.zeros((0, *self.shapes()[-1]), np.float32)

    def activations(self, x: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Outputs of the named layers for x, NumPy's; stops after the deepest."""
        x, outputs = to_cpu(x), {}
        self.check_images(x)
        x = self.to_input(x)
        for layer in self.layers[:max((self.index(name) for name in names), default=-1) + 1]:
            x = layer.forward(x, keep=False)
            if layer.name in names:
                outputs[layer.name] = to_cpu(x)
        return outputs

    # Layers

    def to(self, device: str) -> Sequential:
        """Moves the parameters to "cpu", "cuda" (needs CuPy and a GPU) or "cuda-sim" (needs a C++
        compiler); caches are dropped. An optimizer moves by its own `to`."""
        module_of(device)  # raises before anything has moved
        for layer in self.layers:
            layer.to(device)
        self.moved_to, self.cached_shape = device, None
        return self

    @property
    def device(self) -> str:
        """Device of the parameters; without parameters, the last device given to `to`."""
        return next((device_of(p) for layer in self.layers for p in layer.params.values()),
                    self.moved_to)

    def index(self, name: str) -> int:
        """Place of the layer of that name."""
        return layer_index(name, [layer.name for layer in self.layers], self.name)

    def __getitem__(self, name: str) -> Layer:
        return self.layers[self.index(name)]

    def freeze(self, until: str | None = None) -> None:
        """Freezes the layer `until` and all before it; all layers if None."""
        stop = len(self.layers) if until is None else self.index(until) + 1
        for layer in self.layers[:stop]:
            layer.trainable = False

    def unfreeze(self, since: str | None = None) -> None:
        """Makes the layer `since` and all after it trainable; all layers if None."""
        for layer in self.layers[0 if since is None else self.index(since):]:
            layer.trainable = True

    def split(self) -> tuple[Sequential, Sequential]:
        """(frozen prefix, the rest from the first layer on that trains or draws random numbers),
        which share their layers with this model. A prefix without parameters, such as a Rescaling,
        belongs to the rest: computing its outputs again is as fast as keeping them."""
        cut = next((i for i, layer in enumerate(self.layers)
                    if layer.trainable and (layer.params or layer.random)), len(self.layers))
        if not any(layer.params for layer in self.layers[:cut]):
            cut = 0
        return (self.view(self.layers[:cut], self.input_shape, self.preprocessing),
                self.view(self.layers[cut:], self.shapes()[cut]))

    def view(self, layers: list[Layer], input_shape: tuple[int, ...],
             preprocessing: Preprocessing | None = None) -> Sequential:
        """A network of some of these layers, shared and not built again; with none, y = x."""
        view = copy.copy(self)
        view.layers, view.input_shape, view._preprocessing = layers, input_shape, preprocessing
        view.classes, view.weights_note = None, ""
        view.moved_to, view.cached_shape = self.device, None
        return view

    def replace_head(self, layers: Sequence[Layer], after: str | None = None, seed: int = 0,
                     classes: Sequence[str] | None = None) -> Sequential:
        """Replaces the head by `layers`; returns self.

        The head is the last Dense with what follows it, if only activations and Dropout do; with
        `after`, everything after that layer; a network without a head just gets one. If a Dense
        would get images, a Flatten is put before it. classes: names of the new outputs. A head that
        does not fit raises, and nothing is changed.
        """
        stop = len(self.layers) if after is None else self.index(after) + 1
        if after is None:
            body = stop
            while body and isinstance(self.layers[body - 1], (*ACTIVATION_LAYERS, *NOISE_LAYERS)):
                body -= 1
            if body and isinstance(self.layers[body - 1], Dense):
                stop = body - 1
        body_layers, layers = self.layers[:stop], list(layers)
        if layers and isinstance(layers[0], Dense) and len(self.shapes(body_layers)[-1]) == 3:
            layers = [Flatten(), *layers]
        self.layers = self._build([*body_layers, *layers], stop, seed, classes)
        self.classes = None if classes is None else list(classes)
        return self

    # Reading and writing

    def receptive_fields(self) -> list[tuple[int, int] | None]:
        """Per layer the patch (height, width) of the input that one output sees; None means all."""
        return summary.receptive_fields(self.layers, self.input_shape)

    _repr_html_ = summary.html  # what Jupyter shows; below, summary is the method

    def summary(self) -> str:
        """A table: name, kind, shape, parameters, trainable or frozen, receptive field."""
        return summary.table(self)

    def __repr__(self) -> str:
        return f"Sequential({self.name!r}, {len(self.layers)} layers, input {self.input_shape})"

    def load_weights(self, path: str | os.PathLike, skip_mismatch: bool = False) -> str:
        """Sets the parameters from any Keras weight file, all or nothing; returns what was set, and
        whether by name or by order (weights.assign has the rules). skip_mismatch: layers that the
        file does not fit, such as a new head, stay as they are. Raises FileError."""
        device = self.device
        with weights.open_entries(path) as entries:
            self.weights_note = weights.assign(self.layers, self.input_shape, entries, path,
                                               skip_mismatch)
        self.to(device)  # from NumPy's arrays
        return self.weights_note

    def save(self, path: str | os.PathLike) -> None:
        """Writes a .h5 file (network and weights) or a .weights.h5 file that Keras 3 opens too."""
        weights.write(path, self)

"""Preprocessing: from pixels to a network's input. It belongs to the model and is saved with it."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass

import numpy as np

from .ops import array_module
from .utils.arrays import Pixels
from .utils.errors import ArgumentError, ShapeError

CHANNELS = {"RGB": 3, "BGR": 3, "GREY": 1}  # of network input, by channel_order
FITS = ("crop", "stretch", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
INTERPOLATIONS = ("bilinear", "nearest")


@dataclass(frozen=True)
class Preprocessing:
    """x = (pixels in channel_order − mean) · scale.

    channel_order: "RGB", "BGR", or "GREY" for a network of one channel.
    mean:          a number for each channel, in channel_order, or one for all; in pixel units
                   0…255.
    crop_fraction: side of the centre crop over the shortest side of the image; VGG16's published
                   accuracy needs 224/256 (Simonyan & Zisserman 2015, section 3.2).
    fit:           how photos are brought to the network's size. "crop": minicnn's own way
                   (data.resize_and_crop). The others do what Keras' layer Resizing does
                   (data.keras_resizing): "stretch" is its standard, "crop_to_aspect_ratio" and
                   "pad_to_aspect_ratio" are its settings of these names.
    interpolation: of Keras' ways, "bilinear" or "nearest".
    """

    channel_order: str = "RGB"
    mean: tuple[float, ...] = (127.5,)
    scale: float = 1 / 127.5
    crop_fraction: float = 1.0
    fit: str = "crop"
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        for key, known in (("channel_order", tuple(CHANNELS)), ("fit", FITS),
                           ("interpolation", INTERPOLATIONS)):
            if getattr(self, key) not in known:
                raise ArgumentError(f"Preprocessing: expected {key} "
                                    f"{' or '.join(map(repr, known))}, received "
                                    f"{getattr(self, key)!r}. Choose one of these.")
        if not 0 < self.crop_fraction <= 1:
            raise ArgumentError(f"Preprocessing: expected a crop_fraction above 0 and at most 1, "
                                f"received {self.crop_fraction}.")
        if self.fit != "crop" and self.crop_fraction != 1:
            raise ArgumentError(f"Preprocessing: expected crop_fraction 1 with fit {self.fit!r}, "
                                f"received {self.crop_fraction}. Only 'crop' has one.")
        if self.fit == "crop" and self.interpolation != "bilinear":
            raise ArgumentError(f"Preprocessing: expected interpolation 'bilinear' with fit "
                                f"'crop', received {self.interpolation!r}. Choose fit 'stretch'.")
        mean = np.asarray(self.mean, np.float64)
        if mean.shape not in ((1,), (self.channels,)) or not np.isfinite([*mean, self.scale]).all():
            raise ArgumentError(f"Preprocessing: expected as mean one number or {self.channels}, "
                                f"one for each channel of {self.channel_order}, and one as scale, "
                                f"received {self.mean!r} and {self.scale!r}.")
        object.__setattr__(self, "mean", tuple(np.broadcast_to(mean, self.channels).tolist()))

    @property
    def channels(self) -> int:
        """Of network input: 3, or 1 if it is grey."""
        return CHANNELS[self.channel_order]

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """RGB pixels (N, H, Wd, 3), 0…255 -> a new float32 array; the pixels are not changed.
        With "GREY" also grey pixels (N, H, Wd, 1)."""
        grey = self.channel_order == "GREY"
        if pixels.ndim != 4 or pixels.shape[-1] not in ((1, 3) if grey else (3,)):
            raise ArgumentError(f"Preprocessing: expected RGB pixels of shape (N, H, W, 3)"
                                f"{', or (N, H, W, 1) if they are grey' * grey}, received "
                                f"{pixels.shape}.")
        step = -1 if self.channel_order == "BGR" else 1
        xp = array_module(pixels)
        x = xp.array(pixels[..., ::step], np.float32, order="C")  # a copy, always
        if grey and x.shape[-1] == 3:
            x = to_grey(x, pixels.dtype == np.uint8)
        x -= xp.array(self.mean, np.float32)
        if self.scale != 1:
            x *= np.float32(self.scale)
        return x

    def to_dict(self) -> dict:
        """Plain values for JSON; Preprocessing(**d) reads them back."""
        values = asdict(self)
        if self.fit == "crop":  # as before there were others: older versions read the file, too
            del values["fit"], values["interpolation"]
        return values

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Network input (…, channels) -> RGB pixels (…, 3), 0…255; grey becomes red = green = blue.
        """
        pixels = x / self.scale + np.asarray(self.mean)
        return np.repeat(pixels, 3, axis=-1) if self.channels == 1 else self.to_rgb(pixels)

    def to_rgb(self, values: np.ndarray) -> np.ndarray:
        """Values (…, channels) of network input, such as a gradient, with their channels in the
        order red, green, blue; of one channel, as they are."""
        return values[..., ::-1] if self.channel_order == "BGR" else values

    def as_seen(self, pixels: Pixels) -> Pixels:
        """RGB pixels (…, 3) uint8 -> the same; for a grey network with red = green = blue."""
        if self.channels == 3:
            return pixels
        return np.repeat(to_grey(pixels.astype(np.float32), True).astype(np.uint8), 3, axis=-1)

    def check_fits(self, input_shape: tuple[int, ...], name: str) -> None:
        """Raises ArgumentError unless a network of this input_shape, without N, takes its x."""
        if len(input_shape) != 3 or input_shape[2] != self.channels:
            orders = [order for order, channels in CHANNELS.items()
                      if len(input_shape) == 3 and channels == input_shape[2]]
            advice = (f"Choose channel_order {' or '.join(map(repr, orders))}." if orders else
                      "Leave it out; the network takes floats.")
            raise ArgumentError(
                f"{name}: expected a recipe for input {input_shape}, received one of "
                f"{self.channel_order}, for inputs (H, W, {self.channels}). {advice}")


def whole_pixels(pixels: np.ndarray) -> np.ndarray:
    """Pixels of any dtype, rounded to 0…255, uint8; those that are uint8 are not copied."""
    if pixels.dtype == np.uint8:
        return pixels
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def to_grey(rgb: np.ndarray, rounded: bool) -> np.ndarray:
    """RGB (…, 3) float32, 0…255 -> (…, 1): 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), in the
    whole numbers of Pillow's convert("L"), which Keras uses: r/65536, all exact in float32."""
    red, green, blue = (rgb[..., k:k + 1] for k in range(3))
    grey = 19595 * red + 38470 * green + 7471 * blue
    return array_module(rgb).floor((grey + 32768) / 65536) if rounded else grey / 65536


def wrong_shape(shape: tuple[int, ...], input_shape: tuple[int, ...], name: str) -> ShapeError:
    """The error for images of this shape, where a network needs (N, *input_shape)."""
    hint = "data.resize_and_crop brings photos to size." * (len(input_shape) == 3)
    if len(shape) == len(input_shape):
        hint = "The axis of images is missing: give x[None] for one, np.stack([…]) for several."
        if input_shape[2:] == (1,) and shape[1:] == input_shape[:2]:
            hint = "The axis of channels is missing: give x[..., None]."
    return ShapeError(f"{name}: expected x of shape {('N', *input_shape)}, received {shape}. "
                      f"{hint}".strip())


def warn_of_pixels(x: np.ndarray, recipe: Preprocessing | None, name: str) -> None:
    """Warns if floats, which are taken as network input, look like pixels instead: scaled to 0…1 or
    −1…1, or 0…255, although the recipe turns pixels into something else."""
    if recipe is None or x.dtype == np.uint8 or not x.size:
        return
    ends = (np.array([[0.0], [255.0]]) - recipe.mean) * recipe.scale
    low, high = float(ends.min()), float(ends.max())
    least, largest = float(x.min()), float(x.max())
    looks_scaled = -1 <= least and 0.5 < largest <= 1 and high - low > 10
    looks_scaled |= 0 <= least < 0.05 and 0.5 < largest <= 1 and low < -0.5
    looks_raw = 0 <= least and 2 * max(high, 1) < largest <= 255
    if looks_scaled or looks_raw:
        pixels = "0 to 255" if looks_raw else "0 to 1" if least >= 0 else "-1 to 1"
        warnings.warn(  # the same text for every batch: Python shows it once for a line of code
            f"{name}: received floats that look like pixels from {pixels}. "
            f"Floats are network input, for which this model's recipe makes {low:.3g} to "
            f"{high:.3g} of pixels. Give the pixels as they are: uint8, 0…255.", stacklevel=3)


def crop_fraction_of(preprocessing: Preprocessing | None) -> float:
    """The crop fraction of a model's preprocessing; 1.0, the whole photo, if it has none."""
    return 1.0 if preprocessing is None else preprocessing.crop_fraction

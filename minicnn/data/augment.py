"""Data augmentation: random views of each training image, never of a test image."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ..preprocessing import Preprocessing, whole_pixels
from ..utils.arrays import Pixels
from ..utils.errors import ArgumentError, check_int
from .datasets import Dataset, Integers
from .file_table import concatenate


@dataclass(frozen=True)
class Augment:
    """Random views of an image, each amount drawn uniformly between its limits:

    flip:    mirrored left to right, with probability ½
    shift:   by up to this fraction of the sides
    rotate:  by up to this many degrees, either way
    zoom:    scaled by e^u, |u| ≤ zoom: 0.1 is up to 10 % larger or smaller
    colour:  brightness, contrast and saturation times 1 + u each, |u| ≤ colour

    Rotation, scaling and shift are one bilinear resampling; the image is mirrored beyond its edges.
    Raises ArgumentError for amounts below 0 or too large.
    Source: Simard, Steinkraus, Platt 2003 (affine); Krizhevsky et al. 2012 (flip, shift, colour).
    """

    flip: bool = True
    shift: float = 0.08
    rotate: float = 10.0
    zoom: float = 0.1
    colour: float = 0.15

    def __post_init__(self) -> None:
        for name, maximum in (("shift", 0.5), ("rotate", 180), ("zoom", 1), ("colour", 1)):
            if not 0 <= getattr(self, name) <= maximum:
                raise ArgumentError(f"Augment: expected {name} from 0 to {maximum}, received "
                                    f"{getattr(self, name)!r}.")

    @staticmethod
    def parse(text: str) -> Augment:
        """"flip,rotate=15" -> Augment(True, 0, 15, 0, 0): a view that is not named is off."""
        standard = asdict(Augment())
        amounts = dict.fromkeys(standard, 0.0)
        for part in filter(None, text.split(",")):
            name, _, amount = part.strip().partition("=")
            try:
                default = standard[name]
                amounts[name] = float(amount or default)
            except (KeyError, ValueError) as error:
                raise ArgumentError(f"augment: expected names among {', '.join(standard)}, each "
                                    f"alone or with its amount, such as rotate=15, received "
                                    f"{part!r}.") from error
        return Augment(bool(amounts.pop("flip")), **amounts)

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """pixels (h, w, 3) uint8 -> a random view, a new array of the same shape."""
        from PIL import Image

        h, w = pixels.shape[:2]
        mirrored = rng.random() < 0.5
        across, down, angle, scale, *light = rng.uniform(-1, 1, 7)
        if self.flip and mirrored:
            pixels = pixels[:, ::-1]
        if self.shift or self.rotate or self.zoom:
            angle, scale = np.deg2rad(angle * self.rotate), np.exp(-scale * self.zoom)
            cos, sin = scale * np.cos(angle), scale * np.sin(angle)
            x, y = w / 2 + across * self.shift * w, h / 2 + down * self.shift * h
            # From a pixel of the view back to the image: rotated and scaled about the centre.
            edge = max(h, w)
            wide = np.pad(pixels, ((edge, edge), (edge, edge), (0, 0)), "symmetric")
            inverse = (cos, sin, edge + x - cos * w / 2 - sin * h / 2,
                    -sin, cos, edge + y + sin * w / 2 - cos * h / 2)
            pixels = np.array(Image.fromarray(wide).transform(
                (w, h), Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR))
        if self.colour:
            brightness, contrast, saturation = 1 + self.colour * np.array(light)
            x = pixels * np.float32(brightness)
            x = contrast * x + (1 - contrast) * x.mean()
            x = saturation * x + (1 - saturation) * x.mean(axis=-1, keepdims=True)
            pixels = np.clip(np.rint(x), 0, 255).astype(np.uint8)
        return np.array(pixels)


class Augmented(Dataset):
    """`views` random views of each image of `data`: views · N images; number v·N + i is view v of
    image i. A view depends only on seed, v and i, so it is the same whenever it is drawn.

    training.fit takes every image once per epoch, in one of its views.
    """

    def __init__(self, data: Dataset, augment: Augment, views: int, seed: int = 0) -> None:
        views = check_int(views, "Augmented, views")
        super().__init__(concatenate([data.items] * views), np.tile(data.labels, views),
                         data.classes, concatenate([data.names] * views))
        self.augment, self.views, self.count, self.seed = augment, views, len(data), seed

    def images(self, indices: Integers, size: tuple[int, int],
               crop_fraction: float = 1.0, recipe: Preprocessing | None = None) -> Pixels:
        """As Dataset.images, then augmented; whole pixels, uint8, with any recipe."""
        positions = self.positions(indices)
        pixels = whole_pixels(super().images(positions, size, crop_fraction, recipe))
        for k, i in enumerate(positions):
            rng = np.random.default_rng([self.seed, *divmod(int(i), self.count)])
            pixels[k] = self.augment(pixels[k], rng)
        return pixels

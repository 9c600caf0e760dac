"""Augmentation: the same photo seen a little differently each time. Training only, never a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from ..utils.errors import ArgumentError, check_int
from .datasets import Dataset


@dataclass(frozen=True)
class Augment:
    """Random views of a photo, each amount drawn evenly between its limits:

    flip:    mirrored left to right, every second time
    shift:   by up to this share of the sides
    rotate:  by up to so many degrees, either way
    zoom:    scaled by e^u, |u| ≤ zoom: 0.1 is up to 10 % larger or smaller
    colour:  brightness, contrast and saturation times 1 + u each, |u| ≤ colour

    Turning, scaling and shifting are one resampling (bilinear); beyond its edges a photo goes on as
    in a mirror. Raises ArgumentError for amounts below 0, or so large that no photo is left.
    Source: Simard, Steinkraus, Platt 2003 (affine); Krizhevsky et al. 2012 (flip, shift, colour).
    """

    flip: bool = True
    shift: float = 0.08
    rotate: float = 10.0
    zoom: float = 0.1
    colour: float = 0.15

    def __post_init__(self) -> None:
        for name, most in (("shift", 0.5), ("rotate", 180), ("zoom", 1), ("colour", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise ArgumentError(f"Augment: expected {name} from 0 to {most}, received "
                                    f"{getattr(self, name)!r}.")

    @staticmethod
    def parse(text: str) -> Augment:
        """"flip,rotate=15" -> Augment(True, 0, 15, 0, 0): what is not named is off."""
        known = {field.name: field.default for field in fields(Augment)}
        amounts: dict[str, float] = dict.fromkeys(known, 0)
        for part in filter(None, text.split(",")):
            name, _, amount = part.strip().partition("=")
            try:
                amounts[name] = type(known[name])(float(amount or known[name]))
            except (KeyError, ValueError) as error:
                raise ArgumentError(f"augment: expected names among {', '.join(known)}, each alone "
                                    f"or with its amount as rotate=15, received {part!r}."
                                    ) from error
        return Augment(**amounts)

    def __call__(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """pixels (h, w, 3) uint8 -> a view of the same shape, new."""
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
            # Where in the photo a view's pixel comes from: turned and scaled about the centre.
            edge = max(h, w)
            wide = np.pad(pixels, ((edge, edge), (edge, edge), (0, 0)), "symmetric")
            back = (cos, sin, edge + x - cos * w / 2 - sin * h / 2,
                    -sin, cos, edge + y + sin * w / 2 - cos * h / 2)
            pixels = np.array(Image.fromarray(wide).transform(
                (w, h), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR))
        if self.colour:
            brightness, contrast, saturation = 1 + self.colour * np.array(light)
            x = pixels * np.float32(brightness)
            x = contrast * x + (1 - contrast) * x.mean()
            x = saturation * x + (1 - saturation) * x.mean(axis=-1, keepdims=True)
            pixels = np.clip(np.rint(x), 0, 255).astype(np.uint8)
        return np.array(pixels)


class Augmented(Dataset):
    """`views` random views of each photo of `data`: (views · N) photos, view v of photo i being
    number v·N + i. A view depends on seed, v and i only, so it is the same whenever it is drawn.

    training.fit takes every photo once an epoch, in one of its views.
    """

    def __init__(self, data: Dataset, augment: Augment, views: int, seed: int = 0) -> None:
        views = check_int(views, "Augmented, views")
        super().__init__(data.items * views, np.tile(data.labels, views), data.classes,
                         data.names * views)
        self.augment, self.views, self.count, self.seed = augment, views, len(data), seed

    def images(self, indices: Sequence[int], size: tuple[int, int],
               crop_fraction: float = 1.0) -> np.ndarray:
        """As Dataset.images, and then augmented."""
        indices = self.positions(indices)
        pixels = super().images(indices, size, crop_fraction)
        for k, i in enumerate(indices):
            rng = np.random.default_rng([self.seed, *divmod(int(i), self.count)])
            pixels[k] = self.augment(pixels[k], rng)
        return pixels

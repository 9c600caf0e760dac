"""Lesson 3. VGG16 looks at a photo.

Question
    What comes out of each block of the true VGG16, trained on 1.2 million photos?

Formula
    Every block halves height and width, and every 3×3 convolution lets an output see two more steps
    on each axis:  r ← r + 2·j,  and at a pooling  r ← r + j, j ← 2·j  (r: pixels seen, j: step).

Run it:  python examples/03_vgg16_on_a_photo.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn.models import imagenet_classes

here = Path(__file__)
PHOTOS = ["chelsea", "coffee", "astronaut", "rocket"]
BLOCKS = ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"]

# 1. The network, its true weights, its recipe for pixels -------------------------------------

model = mc.VGG16(include_top=False, weights="imagenet", input_shape=(224, 224, 3))
print(model.summary())

photos = np.stack([
    mc.data.resize_and_crop(mc.data.read_image(mc.data.photos()[name]), (224, 224))
    for name in PHOTOS])
x = model.preprocessing(photos)  # RGB -> BGR, minus ImageNet's mean colour
print(f"\npixels {photos.shape} {photos.dtype} {photos.min()} … {photos.max()}"
      f"  ->  x {x.dtype} {x.min():.1f} … {x.max():.1f}")

# 2. What comes out of each block -------------------------------------------------------------

activations = model.activations(x, BLOCKS)
fields = dict(zip((layer.name for layer in model.layers), model.receptive_fields(), strict=True))
print(f"\n{'layer':<14} {'output':<16} {'one output sees':<18} {'not zero':>9} {'largest':>9}")
for name in BLOCKS:
    a = activations[name]
    print(f"{name:<14} {str(a.shape[1:]):<16} {f'{fields[name][0]} × {fields[name][1]}':<18} "
          f"{100 * (a > 0).mean():>7.1f} % {a.max():>9.0f}")

# 3. Which photos are alike? ------------------------------------------------------------------

features = activations["block5_conv3"].mean(axis=(1, 2))  # (4, 512)
features /= np.linalg.norm(features, axis=1, keepdims=True)
print("\nCosine of the angle between the photos' mean features in block 5:")
print(" " * 10 + "".join(f"{name:>10}" for name in PHOTOS))
for name, row in zip(PHOTOS, features @ features.T, strict=True):
    print(f"{name:<10}" + "".join(f"{value:10.2f}" for value in row))

# 4. The strongest maps of the cat ------------------------------------------------------------

figure = Figure(figsize=(13, 8.4), dpi=100, layout="constrained")
grid = figure.subplots(3, 1 + len(BLOCKS))
for k, name in enumerate(BLOCKS, 1):
    maps = activations[name][0]  # (H, W, C)
    strongest = np.argsort(-maps.sum(axis=(0, 1)))[:3]
    for ax, c in zip(grid[:, k], strongest, strict=True):
        ax.imshow(maps[:, :, c], cmap="magma")
        ax.set_title(f"{name}, map {c}", fontsize=11)
grid[0, 0].imshow(photos[0])
grid[0, 0].set_title("photo", fontsize=11)
for ax in grid.flat:
    ax.axis("off")
figure.suptitle("The three strongest maps of each block (bright: large)", fontsize=15)
picture = here.with_suffix(".png")
figure.savefig(picture)
print(f"\npicture: {picture}")

# 5. Names for what it sees: the 1,000 classes ------------------------------------------------

print(f"""
The dense layers on top (fc1, fc2, predictions) have {138_357_544 - 14_714_688:,} of VGG16's
138,357,544 parameters, 553 MB with the base: they are downloaded once, when you ask for names
({len(imagenet_classes())} of them, from {imagenet_classes()[0]} to {imagenet_classes()[-1]}):

    minicnn predict vgg16 minicnn/data/photos/chelsea.jpg""")

print("""
What to notice
  - The deeper, the fewer outputs fire: from edges, which are everywhere, to parts, which are rare.
  - The last block sees 196 pixels at once, nearly the whole photo, in cells of 16 pixels.

Exercises (solutions in examples/solutions/lessons.md)
  1. Forget the recipe: feed photos / 255 instead of x. How do the cosines change?
  2. Turn the cat upside down (photos[:, ::-1]). Which block minds, which does not?
  3. Count the multiplications of each block. Where is the work, where are the parameters?
""")

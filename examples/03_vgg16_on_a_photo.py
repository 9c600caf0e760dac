r"""Lesson 3. VGG16 looks at a photo.

Question
    What comes out of each block of the true VGG16, trained on 1.2 million photos? And which block
    tells two kinds of clouds apart, of which it has never heard?

Formula
    Let one output see $r$ pixels along each axis, and its neighbour the same $j$ pixels further on.
    At the input $r = j = 1$. A 3 × 3 convolution sees two more steps; a pooling sees one more, and
    doubles the step:

    $$\text{convolution:}\; r ← r + 2j, \qquad \text{pooling:}\; r ← r + j, \; j ← 2j$$

Run it:  python examples/03_vgg16_on_a_photo.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn.models import imagenet_classes

here = Path(__file__)
BLOCKS = ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"]

# 1. The network, its true weights, and what it does to pixels --------------------------------
#
# Weights belong to the pixels that they were trained with, so the model carries its preprocessing.
# VGG16's puts the channels in the order blue, green, red and subtracts ImageNet's mean colour,
# without scaling. Photos of 0 … 1 would be accepted as well, and give nonsense (exercise 1).

model = mc.VGG16(include_top=False, weights="imagenet", input_shape=(224, 224, 3))
print(model.summary())

clouds = mc.data.sample("clouds", "test", ["cirrus", "cumulus"], per_class=20)
names = ["cat", "cirrus", "cumulus"]
photos = np.stack([mc.data.resize_and_crop(photo, (224, 224)) for photo in (
    mc.data.read_image(mc.data.photos()["chelsea"]), clouds.read(11), clouds.read(32))])
x = model.preprocessing(photos)  # RGB -> BGR, minus ImageNet's mean colour
print(f"\npixels {photos.shape} {photos.dtype} {photos.min()} … {photos.max()}"
      f"  ->  x {x.dtype} {x.min():.1f} … {x.max():.1f}")

# 2. What comes out of each block -------------------------------------------------------------
#
# Each block ends with more channels (maps) on fewer positions. ReLU has set to 0 what did not
# respond, so the share of values that are not 0 says how choosy the maps of a block are. The third
# column is the formula above: how many pixels of the photo a single output can know of.

activations = model.activations(x, BLOCKS)
fields = dict(zip((layer.name for layer in model.layers), model.receptive_fields(), strict=True))
print(f"\n{'layer':<14} {'output':<16} {'one output sees':<18} {'not zero':>9} {'largest':>9}")
for name in BLOCKS:
    a = activations[name]
    print(f"{name:<14} {str(a.shape[1:]):<16} {f'{fields[name][0]} × {fields[name][1]}':<18} "
          f"{100 * (a > 0).mean():>7.1f} % {a.max():>9.0f}")

# 3. The strongest map of each block ----------------------------------------------------------
#
# The map with the largest sum is the one that a photo excites most. On the cat, early maps show
# edges of fur, later ones parts of a face. On clouds there are no parts: watch what each block
# makes of colour (the blue between the clouds) and of texture (wisps or heaps).

figure = Figure(figsize=(13, 6.9), dpi=100, layout="constrained")
grid = figure.subplots(len(photos), 1 + len(BLOCKS))
for row, photo, kind in zip(grid, photos, names, strict=True):
    row[0].imshow(photo)
    row[0].set_title(kind, fontsize=13)
for k, name in enumerate(BLOCKS, 1):
    for ax, maps in zip(grid[:, k], activations[name], strict=True):  # (H, W, C)
        c = maps.sum(axis=(0, 1)).argmax()
        ax.imshow(maps[:, :, c], cmap="magma")
        ax.set_title(f"{name}, map {c}", fontsize=11)
for ax in grid.flat:
    ax.axis("off")
figure.suptitle("The strongest map of each block (bright: large)", fontsize=16)
strongest = here.with_name("03_maps.png")
figure.savefig(strongest)

# 4. Which clouds are alike, for which block? -------------------------------------------------
#
# The mean of each map over all positions describes a photo by C numbers: how much there is of
# everything, wherever it is. Two photos are alike if the angle between their numbers is small. For
# each of 40 clouds we ask whether the most similar other one is of the same kind. Guessing would be
# right for half of them, and so is the photos' mean colour, three numbers that need no network.

images = clouds.images(range(len(clouds)), (224, 224))
features = {"mean colour": images.mean(axis=(1, 2))}  # (40, 3)
batches = [model.activations(model.preprocessing(images[i:i + 8]), BLOCKS)
           for i in range(0, len(images), 8)]
for name in BLOCKS:
    features[name] = np.concatenate([batch[name].mean(axis=(1, 2)) for batch in batches])  # (40, C)

nearest = {}
print("\nof 40 clouds, how many are most like one of the same kind?")
for name, f in features.items():
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    cosines = f @ f.T
    np.fill_diagonal(cosines, -1)  # not itself
    nearest[name] = cosines.argmax(axis=1)
    same = clouds.labels[nearest[name]] == clouds.labels
    print(f"{name:<14} {same.sum():>3}")

# 5. The most similar clouds, by colour and by texture ----------------------------------------
#
# Every eighth photo, and below it the most similar one: by the mean colour, and by block 4. One
# finds the same sky, the other the same kind of cloud, also in another light.

figure = Figure(figsize=(13, 8.4), dpi=100, layout="constrained")
rows = {"photo": np.arange(len(clouds)), "by mean colour": nearest["mean colour"],
        "by block 4": nearest["block4_conv3"]}
for row, (kind, indices) in zip(figure.subplots(3, 5), rows.items(), strict=True):
    for ax, i, shown in zip(row, range(0, 40, 8), indices[::8], strict=True):
        ax.imshow(clouds.read(shown))
        ax.set_title(f"{kind}: {clouds.classes[clouds.labels[shown]]}", fontsize=13,
                     color="black" if clouds.labels[shown] == clouds.labels[i] else "#d55e00")
        ax.axis("off")
figure.suptitle("Every eighth photo, and the most similar one (orange: of the other kind)",
                fontsize=16)
alike = here.with_name("03_alike.png")
figure.savefig(alike)
print(f"\npictures: {strongest}, {alike}")

# 6. Names for what it sees: the 1,000 classes ------------------------------------------------
#
# Without its top, VGG16 has features and no names for them. The top is where most of the parameters
# are, and it knows ImageNet's classes only: many breeds of dogs, no cloud.

print(f"""
The dense layers on top (fc1, fc2, predictions) have {138_357_544 - 14_714_688:,} of VGG16's
138,357,544 parameters, 553 MB with the base: they are downloaded once, when you ask for names
({len(imagenet_classes())} of them, from {imagenet_classes()[0]} to {imagenet_classes()[-1]}):

    minicnn predict vgg16 minicnn/data/photos/chelsea.jpg""")

print("""
What to notice
  - The deeper, the fewer outputs respond: colours and edges are everywhere, parts are rare. The
    last block sees 196 pixels at once, nearly the whole photo, in steps of 16 pixels.
  - Map 27 of block 1 shows how blue the sky is, map 163 of block 3 the outlines of heaps, map 147
    wisps. In a smooth sky map 85 of block 2 responds to the border alone: the zeros of the padding
    are an edge, too.
  - Colour does not tell these clouds apart, nor do blocks 1 and 2: 21 to 23 of 40 is guessing.
    Block 4 has 34 right without having learned anything of clouds, since their texture differs. In
    block 5 it is 26: that block knows ImageNet's kinds of things. So lesson 4 cuts after block 4.
  - 40 photos are few: counts that differ by less than about 6 may be luck, 34 and 32 for example.

Exercises (solutions in examples/solutions/lessons.md)
  1. Forget the preprocessing: feed images / 255. How do the cosines of section 4 change, and how
     the counts? Would you have noticed?
  2. Turn the cat upside down (photos[:, ::-1]). Which block minds, which does not?
  3. Count the multiplications of each block. Where is the work, where are the parameters?
""")

r"""Lesson 5. What do the layers see?

Question
    VGG16 turns a photo into 512 maps. Which part of the photo has excited a map, and what in it?
    And what does a layer no longer care about?

Formula
    Down again, through the layers in reverse order (Zeiler & Fergus 2014, section 2.1): one
    activation is kept, all others are set to 0, and then

    - pooling: the value returns to the position that had the maximum, the switch;
    - ReLU: $dx = \max(dy, 0)$, the deconvnet's rule. The gradient's is $dx = dy · [y > 0]$;
    - convolution: $dx = W^T dy$, the kernels transposed, without biases.

    How far a layer moves when the photo $x$ is shifted to $x'$:

    $$d = \frac{\|f(x') − f(x)\|}{\|f(x)\|}.$$

Run it:  python examples/05_what_layers_see.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import visualize
from minicnn.plotting import drawing
from minicnn.visualize.features.top_patches import mosaic

model = mc.VGG16(include_top=False, weights="imagenet", input_shape=(128, 128, 3))
photos = [mc.data.read_image(path) for path in mc.data.photos().values()]
cat = mc.data.read_image(mc.data.photos()["chelsea"])

# 1. One activation, sent down by hand --------------------------------------------------------

layers = model.layers[:model.index("block3_conv3") + 1]
y = model.to_input(mc.data.resize_and_crop(cat, (128, 128))[None])
for layer in layers:
    y = layer.forward(y, keep=True)                           # (1, 32, 32, 256) at last
k = int(y.sum(axis=(0, 1, 2)).argmax())                       # the strongest map
i, j = np.unravel_index(y[0, :, :, k].argmax(), y.shape[1:3])
dy = np.zeros_like(y)
dy[0, i, j, k] = y[0, i, j, k]
for layer in reversed(layers):
    if layer.params:                                          # a convolution, ReLU inside
        dy = layer.input_gradient(np.maximum(dy, 0))
    else:
        dy = layer.backward(dy)                               # pooling: to the switches
by_hand = dy[0, :, :, ::-1]                                   # VGG16's channels are BGR

result = visualize.deconvnet(model, cat, "block3_conv3")
print(result)
print("by hand the same:", (result.unit, result.position) == (k, (i, j))
      and np.allclose(result.projection, by_hand, atol=1e-6 * np.abs(by_hand).max()))
amount = np.abs(by_hand).sum(axis=-1)                         # (128, 128)
rows, columns = np.nonzero(amount > 1e-6 * amount.max())      # less is rounding
print(f"not zero only in rows {rows.min()}–{rows.max()}, columns {columns.min()}–{columns.max()}: "
      "the receptive field?",
      (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == result.box)

# 2. The same for five layers: edges, textures, parts -----------------------------------------

chosen = ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"]
seen = [visualize.deconvnet(model, cat, name) for name in chosen]

# 3. Over many photos: which patches of clouds excite one map of each layer most? -------------

clouds = mc.data.sample("clouds", "test", ["cirrus", "cumulus"], per_class=20)
print("\nthe map of each layer with the largest mean over its nine strongest patches, 40 clouds:")
strongest = [visualize.top_patches(model, clouds, name, maps=1) for name in chosen]
for name, patches in zip(chosen, strongest, strict=True):
    labels = clouds.labels[patches.photos[0]]
    print(f"  {name}  map {patches.units[0]}: {(labels == 0).sum()} of cirrus, "
          f"{(labels == 1).sum()} of cumulus, activation {patches.activations[0, 0]:.0f}")

# 4. Small shifts move the low layers much, the high ones little ------------------------------

moved = visualize.invariance(model, photos, layers=chosen[::2])
at = moved.amounts["shift"].tolist().index(2)
print("\nphotos shifted by 2 of 128 pixels, mean relative distance of the features:")
for name, distance in zip(moved.layers, moved.distances["shift"][:, :, at].mean(axis=1),
                          strict=True):
    print(f"  {name}  {distance:.2f}")

# 5. Hide the toe of every sneaker: does the same change follow? ------------------------------

small = mc.VGG16(include_top=False, weights="imagenet", input_shape=(64, 64, 3))
print(f"\n{visualize.correspondence(small)}")

# 6. A sharp picture is no proof: does it change when the weights become random? --------------

for method in (visualize.gradient, visualize.guided_backprop):
    print(f"\n{visualize.randomisation_check(small, cat, method)}")

# The picture ---------------------------------------------------------------------------------

figure = Figure(figsize=(14, 13.5), dpi=100, layout="constrained")
above, middle, below = figure.subfigures(3, 1, height_ratios=(6, 3.4, 4))
for ax, name, result in zip(above.subplots(2, 5).T, chosen, seen, strict=True):
    top, left, bottom, right = result.box
    drawing.show_image(ax[0], result.pixels[top:bottom, left:right], f"{name}, map {result.unit}")
    drawing.show_signed(ax[1], result.projection[top:bottom, left:right],
                        f"patch of {bottom - top} × {right - left}, projected")
above.suptitle("What has excited the strongest map of each layer", fontsize=16)
for ax, name, patches in zip(middle.subplots(1, 5), chosen, strongest, strict=True):
    drawing.show_image(ax, mosaic(patches.patches[0], 3), f"{name}, map {patches.units[0]}")
middle.suptitle("The nine patches of clouds that excite one map most (grey: beyond the border)",
                fontsize=16)
panels = below.subplots(1, 3, sharey=True)
for ax, kind, unit in zip(panels, moved.amounts, ("pixels downward", "times larger", "degrees"),
                          strict=True):
    for name, distances, style in zip(moved.layers, moved.distances[kind], ("o-", "s--", "^:"),
                                      strict=True):
        ax.plot(moved.amounts[kind], distances.mean(axis=0), style, label=name, lw=2)
    ax.set_xlabel(f"{kind}, {unit}", fontsize=13)
    ax.tick_params(labelsize=12)
panels[0].set_ylabel("distance", fontsize=13)
panels[-1].legend(fontsize=13)
below.suptitle("How far the features move when the photos are changed", fontsize=16)
picture = Path(__file__).with_suffix(".png")
figure.savefig(picture)
print(f"\npicture: {picture}")

print("""
What to notice
  - The patch grows with the layer, until it is the whole photo. No learning does that: it follows
    from windows and strides alone.
  - Over many photos a map shows what it is for: map 27 of block 1 a blue, map 500 of block 5 heaps
    of cloud: 8 of its 9 photos are of cumulus, a word that VGG16 has never been told.
  - In the layers between, many of the strongest patches lie at the border: the zeros of the padding
    are an edge, too, and in a plain sky the strongest one.
  - A shift of two pixels moves block 1 more than twice as far as block 5. Turning the photo moves
    every layer far: nothing in the network's shape is made for that.
  - Hiding the same part of different sneakers moves block 5 in the same directions more often than
    hiding random places of each. But one random place, the same on all sneakers, comes near: the
    photos are all of one shape, and position alone explains a part of it.
  - Guided backprop gives the sharpest picture and fails the check: much of it is the photo's edges,
    whatever the network has learned.

Exercises (solutions in examples/solutions/lessons.md)
  1. In section 1, use the gradient's rule, dy · [y > 0], at the ReLUs. What changes in the picture?
  2. minicnn look maximise --layer block4_conv3 --unit 479, the fourth map of its top row. Do patch,
     projection and this image agree on what it looks for?
  3. Mark eyes and nose in four photos of faces (minicnn look correspondence --parts FILE.json).
     Do they correspond more tightly than the sneakers' parts?
""")

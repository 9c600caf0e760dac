r"""Lesson 4. Transfer learning, spelled out.

Question
    Twenty photos of cirrus clouds, twenty of cumulus. Far too few for a network, unless it has seen
    1.2 million other photos before. What exactly do we keep, and what do we learn anew?

Formula
    $$y = σ(z), \qquad z = w · f(x) + b,$$

    where $f$ is VGG16 up to block4_pool, frozen. Only $w$ and $b$ are learned, from the loss

    $$L = −\frac{1}{N} \sum_{n} [t_n \log y_n + (1 − t_n) \log(1 − y_n)],$$

    whose gradients are short:

    $$\frac{∂L}{∂z} = \frac{y − t}{N}, \qquad \frac{∂L}{∂w} = f(x)^T \frac{∂L}{∂z}.$$

    As $f$ never changes, $f(x)$ is computed once for each photo.

Run it:  python examples/04_transfer_learning.py
"""

import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc

# 1. Cut VGG16 off after block4_pool, put Dense(1) + sigmoid there ----------------------------
#
# We keep the part of VGG16 that finds edges, colours and textures, and give up block 5, which is
# nearer to ImageNet's kinds of things. The new head has one unit: y is p(cumulus), and p(cirrus) is
# 1 − y. It starts at zero, so that the first loss is log 2 = 0.693, that of a network that knows
# nothing.

model = mc.VGG16(include_top=False, weights="imagenet", input_shape=(128, 128, 3))
model.freeze()
model.replace_head([mc.Dense(1, kernel_initializer="zeros"), mc.Sigmoid()], after="block4_pool",
                   classes=["cirrus", "cumulus"])
print(model.summary())

# 2. The photos, cropped to 128 × 128 and preprocessed as VGG16 expects it --------------------
#
# RGB becomes BGR, and ImageNet's mean colour is subtracted: what VGG16 was trained on. Forty photos
# are for learning. The 120 others are the test: nothing is learned from them and nothing is chosen
# by them, so their accuracy says how the network would do on new photos like these.

train = mc.data.sample("clouds", "train", model.classes, per_class=20, seed=0)
test = mc.data.sample("clouds", "test", model.classes)
x, t = model.preprocessing(train.images(range(len(train)), (128, 128))), train.labels
x_test, t_test = model.preprocessing(test.images(range(len(test)), (128, 128))), test.labels

# 3. The frozen part sees each photo once -----------------------------------------------------
#
# Ten convolutions of up to 512 channels turn each photo into 8 × 8 × 512 numbers, its features.
# This takes most of the lesson's time. As the weights below the cut never change, neither do the
# features: we compute them once, and the epochs that follow use them again and again.

frozen, head = model.split()
start = time.perf_counter()
f, f_test = frozen.predict(x), frozen.predict(x_test)
print(f"\nfeatures: {f.shape}; the head is {head}")
print(f"computed for {len(f) + len(f_test)} photos in {time.perf_counter() - start:.1f} s")
frozen_before = frozen["block1_conv1"].params["W"].copy()

# 4. The loop: forward, loss, backward, step --------------------------------------------------
#
# The formulas above, in batches of 16 photos: the head computes y, the loss compares it with the
# labels, the gradients go back, and Adam changes W and b. What learning rate? Adam's first step
# changes each weight by lr, so it moves z by $\mathrm{lr} · \sum |f|$ at most: we choose lr so
# that this is about 1. mc.fit does just this, with the sigmoid and the loss as one formula, which
# is safer when z is large.

loss = mc.losses.BinaryCrossEntropy()
optimizer = mc.optimizers.Adam(lr=1 / np.abs(f).reshape(len(f), -1).sum(axis=1).mean())
rng, losses, accuracies = np.random.default_rng(0), [], []
start = time.perf_counter()
for epoch in range(40):
    total = 0.0
    order = rng.permutation(len(f))
    for first in range(0, len(f), 16):
        batch = order[first:first + 16]
        y = head.forward(f[batch], training=True)             # (16, 1)
        total += loss.forward(y, t[batch]) * len(batch)
        head.backward(loss.backward(), input_gradient=False)  # dW, db; nobody needs dx
        optimizer.step(head)                                  # W, b
    losses.append(total / len(f))
    accuracies.append(((head.predict(f_test)[:, 0] > 0.5) == t_test).mean())
    if epoch in (0, 1, 4, 9, 19, 39):
        print(f"epoch {epoch + 1:2d}: loss {losses[-1]:.4f}, test accuracy {accuracies[-1]:.3f}")
print(f"40 epochs in {time.perf_counter() - start:.1f} s")

# 5. The head shares its layers with the model; the frozen part has not moved -----------------
#
# Training the head has trained the model: it predicts from pixels what the head predicts from
# features. That the frozen weights are the same to the last bit is worth a check: frozen layers
# that move by mistake are a common fault, and the accuracy alone does not show it.

p = model.predict(x_test)[:, 0]
print(f"\nmodel.predict on the test photos: {((p > 0.5) == t_test).mean():.3f}")
print("frozen weights bit-identical:",
      np.array_equal(frozen_before, model["block1_conv1"].params["W"]))

# 6. The photos it is most wrong about --------------------------------------------------------
#
# An accuracy says how often the network is wrong, the photos say why. Look at each before you blame
# the network: the label is somebody's opinion, too.

worst = np.argsort(-np.abs(p - t_test))[:8]
figure = Figure(figsize=(12, 6.8), dpi=100, layout="constrained")
for ax, i in zip(figure.subplots(2, 4).flat, worst, strict=True):
    ax.imshow(test.read(i))
    ax.set_title(f"label: {test.classes[t_test[i]]}\np(cumulus) = {p[i]:.2f}", fontsize=13)
    ax.axis("off")
figure.suptitle("The eight test photos that the network is most wrong about", fontsize=16)
picture = Path(__file__).with_suffix(".png")
figure.savefig(picture)
print(f"picture: {picture}")

print("""
What to notice
  - 32,769 parameters from 40 photos: it works since f already knows edges, fluff and texture.
  - The test accuracy is near its best after a few epochs, while the loss goes on falling.
  - Forty epochs take less time than computing the features once: compare the two times above.
  - The worst error of all is a photo of cumulus whose label says cirrus: the network is right. Real
    labels have errors, and no network can be better than the labels it is tested with.

Exercises (solutions in examples/solutions/lessons.md)
  1. Cut after block3_pool or block5_pool instead. Which is best at 128 pixels? (Mind the learning
     rate.)
  2. Start the head with glorot_uniform instead of zeros. Why is the first loss so large?
  3. model.unfreeze(since="block4_conv3") and train with mc.fit. How small must the step be?
""")

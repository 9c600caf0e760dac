r"""Lesson 2. A first network, from scratch: ten kinds of clothes, softmax.

Question
    Can a network of two convolutions learn to tell ten kinds of clothes apart from 100 photos each?

Formula
    Outputs $z$ of shape (N, 10), probabilities $p = \mathrm{softmax}(z)$, and the loss

    $$L = −\frac{1}{N} \sum_{n} \log p_{n,t_n},$$

    where $t_n$ is the right class of photo $n$. The gradient that starts the way back is as simple
    as it gets: where $\mathrm{onehot}(t)$ has a 1 at the right class and 0 elsewhere,

    $$\frac{∂L}{∂z} = \frac{p − \mathrm{onehot}(t)}{N}.$$

Run it:  python examples/02_first_network.py
"""

from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn.report import confusion, curves
from minicnn.training import HeldOut, evaluate_photos

# 1. The photos -------------------------------------------------------------------------------

train, test = mc.data.sample("fashion", "train"), mc.data.sample("fashion", "test")
print(train)

# 2. The network, layer by layer --------------------------------------------------------------

model = mc.Sequential([
    mc.Conv2D(16, 3, padding="same", activation="relu", kernel_initializer="he_normal"),
    mc.MaxPool2D(2),
    mc.Conv2D(32, 3, padding="same", activation="relu", kernel_initializer="he_normal"),
    mc.MaxPool2D(2),
    mc.Flatten(),
    mc.Dropout(0.3),
    mc.Dense(10, kernel_initializer="zeros"),
    mc.Softmax(),
], input_shape=(28, 28, 3), preprocessing=mc.Preprocessing(), classes=train.classes)
print(model.summary())

# 3. Before learning: the sanity check that costs nothing -------------------------------------

p = model.predict(train.images(range(100), (28, 28)))
first_loss = mc.losses.CategoricalCrossEntropy().forward(p, train.labels[:100])
print(f"\nLoss before learning: {first_loss:.4f}; "
      f"guessing among ten costs log 10 = {np.log(10):.4f}")

# 4. Learning, watched by a callback of our own -----------------------------------------------


class PrintEpochs(mc.Callback):
    def on_epoch_end(self, state):
        if state.epoch in (1, 2, 5, 10, 20):
            figures = [f"{key} {value:.3f}" for key, value in state.logs.items()]
            print(f"epoch {state.epoch:2d}: " + ", ".join(figures))


with mc.ops.use("reference"):  # what you can read in minicnn/ops/reference/ is what runs
    history = mc.fit(model, train, mc.losses.CategoricalCrossEntropy(), mc.optimizers.Adam(0.002),
                     epochs=20, batch_size=32, callbacks=[HeldOut(test), PrintEpochs()], seed=0)

# 5. How good is it? --------------------------------------------------------------------------

result = evaluate_photos(model, test)
low, high = result.interval
print(f"\n{result.num_correct} of {len(test)} test photos right: {100 * result.accuracy:.1f} % "
      f"(95 % interval {100 * low:.1f} … {100 * high:.1f} %)")
wrong = result.confusion.copy()
np.fill_diagonal(wrong, 0)
i, j = np.unravel_index(wrong.argmax(), wrong.shape)
print(f"Most often confused: {wrong[i, j]} × {test.classes[i]} taken for {test.classes[j]}")

here = Path(__file__)
curves(history, here.with_name("02_curves.png"), "test")
confusion(result.confusion, test.classes, here.with_name("02_confusion.png"),
          f"{100 * result.accuracy:.1f} % of the test photos right")
print(f"pictures: {here.with_name('02_curves.png')}, {here.with_name('02_confusion.png')}")

print("""
What to notice
  - The first loss is log 10: a network that knows nothing should say so.
  - Training accuracy goes on rising after the test's has stopped: from there on it overfits.
  - Shirts, T-shirts, coats and pullovers are confused; trousers and ankle boots rarely.

Exercises (solutions in examples/solutions/lessons.md)
  1. Leave the Dropout out. What happens to the distance between the two curves?
  2. Take one class's photos with wrong labels (shuffle them). Which figure tells you first?
  3. Replace both MaxPool2D by strides=2 in the convolutions. Same accuracy? Same time?
""")

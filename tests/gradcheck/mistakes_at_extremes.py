"""Mistakes that an ordinary point does not show: large numbers, small channels, float32, one
sample, another mode, another order of calls, shared memory."""

from .mutants import Mistake

SHAPES = {"relu6": (2, 4, 5, 3), "hard_swish": (2, 4, 5, 3), "group_norm": (2, 3, 5, 4),
          "swiglu": (2, 4, 5, 3), "l2_normalise": (2, 4, 5, 3), "blur": (2, 4, 5, 3),
          "mirror_max": (2, 7, 4, 3), "float32_dense": (4, 5), "standardise": (6, 5),
          "warm_softmax": (2, 4, 5, 3), "scales": (2, 4, 5, 3), "average_pool": (2, 5, 7, 3),
          "channel_means": (2, 4, 5, 3)}

MISTAKES = [Mistake(layer, changes, hint) for layer, changes, hint in (
    # large numbers
    ("relu6", {"(self.x > 0) & (self.x < 6)": "self.x > 0"}, "X"),
    ("relu6", {"(self.x > 0) & (self.x < 6)": "(self.x > 0) & (self.x < 7)"}, "X"),
    ("hard_swish", {"np.where(x > 3, 1, ": "(", "(2 * x + 3) / 6))": "(2 * x + 3) / 6))"}, "X"),
    ("hard_swish", {"np.where(x < -3, 0, (2 * x + 3) / 6)": "(2 * x + 3) / 6"}, "X"),
    ("hard_swish", {"x < -3, 0": "x < -3, 0.01"}, "X"),
    ("hard_swish", {"return dy * slope": "return np.clip(dy, -5, 5) * slope"}, "X"),
    # one mode, one order of calls
    ("hard_swish", {"return dy * slope":
                    "return dy * slope if self.training else dy * slope * slope"}, "X"),
    ("hard_swish", {"        self.x = x\n        return x * np.clip(x + 3, 0, 6) / 6":
                    "        self.x, y = x.copy(), x * np.clip(x + 3, 0, 6) / 6\n"
                    "        if not training:\n            x *= 0.5\n        return y"}, "X"),
    ("warm_softmax", {"(dy * y).sum(axis=-1, keepdims=True)) / self.T":
                      "(dy * y).sum(axis=-1, keepdims=True)) / T"}, "X"),
    ("warm_softmax", {"(dy * y).sum(axis=-1": "(dy * y).sum(axis=1"}, "X"),
    ("swiglu", {"        self.x = x\n": "        self.x = x if self.x is None else self.x\n",
                "        return du @": "        self.x = None\n        return du @"}, "X"),
    ("swiglu", {"self.grads = {\"Wu\": dWu, \"Wv\": dWv}":
                "self.grads = {\"Wu\": dWu, \"Wv\": dWv + self.grads.get(\"Wv\", 0)}"}, "X"),
    ("swiglu", {"(1 + v * (1 - gate))": "(1 + v * gate)"}, "X"),
    # an upstream gradient of ones
    ("channel_means", {"dy[:, None, None]": "np.ones_like(dy)[:, None, None]"}, "X"),
    ("channel_means", {"/ (H * W)": "/ (H * H)"}, "X"),
    # one sample
    ("channel_means", {"keepdims=True).reshape(len(x), -1)": "keepdims=True).squeeze()"}, "X"),
    ("channel_means", {"dy[:, None, None]": "dy.squeeze()[:, None, None]"}, "X"),
    ("channel_means", {"/ (H * W)": "* max(N - 1, 0.5) / max(N - 1, 1) / (H * W)"}, "X"),
    # memory
    ("l2_normalise", {"return (dy - y * along) / self.length":
                      "y[...] = (dy - y * along) / self.length\n        return y"}, "X"),
    ("l2_normalise", {"return (dy - y * along)": "return dy"}, "X"),
    # axes and strides
    ("group_norm", {"d = (dy * self.params[\"gamma\"]).reshape(N, H, W, GROUPS, C // GROUPS)":
                    "d = (dy * self.params[\"gamma\"]).reshape(N, H, W, C // GROUPS, GROUPS)"
                    ".swapaxes(3, 4)"}, "X"),
    ("group_norm", {"mean_part = d.mean((1, 2, 4)": "mean_part = d.mean((1, 2, 3)"}, "X"),
    ("blur", {"dz = blur(dy, 2, range(1, -3, -1))": "dz = blur(dy, 2, range(-1, 3))"}, "X"),
    ("blur", {"return blur(dz, 1, range(1, -3, -1))":
              "return blur(dz, 1 if dy.shape[1] == dy.shape[2] else 2, range(1, -3, -1))"}, "X"),
    ("average_pool", {"slice(i, 2 * dy.shape[1], 2)": "slice(i, i + dy.shape[1])"}, "X"),
    ("average_pool", {"dx[:, rows, columns] = dy / 4":
                      "dx[:, rows, columns] = dy / (4 if j < 1 else 2)"}, "X"),
    ("mirror_max", {"(dy * (1 - share))[:, ::-1]": "(dy * (x < mirrored))[:, ::-1]"}, "X"),
    ("mirror_max", {"(dy * (1 - share))[:, ::-1]": "(dy * (1 - share))"}, "X"),
    # float32 and small channels
    ("float32_dense", {"return dz @ self.W.T": "return 1.003 * dz @ self.W.T"}, "X"),
    ("float32_dense", {"dz.sum(axis=0)": "0.9975 * dz.sum(axis=0)"}, "X"),
    ("float32_dense", {"self.x.T @ dz": "self.x.T @ dz * np.float32(1.002)"}, "X"),
    ("scales", {"return dy * slope * SCALES": "return dy * slope * SCALES * [1, 1, 1.01]"}, "X"),
    ("scales", {"return dy * slope * SCALES": "return dy * slope * SCALES * [0, 1, 1]"}, "X"),
    ("standardise", {"/ (len(dy) - 1)": "/ len(dy)"}, "X"),
)]

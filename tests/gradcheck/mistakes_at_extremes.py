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
    ("relu6", {"(self.x > 0) & (self.x < 6)": "self.x > 0"},
     "For large numbers your dx is right where it is not 0, and not 0 in"),
    ("relu6", {"(self.x > 0) & (self.x < 6)": "(self.x > 0) & (self.x < 7)"},
     "For large numbers your dx is right where it is not 0, and not 0 in"),
    ("hard_swish", {"np.where(x > 3, 1, ": "(", "(2 * x + 3) / 6))": "(2 * x + 3) / 6))"}, ""),
    ("hard_swish", {"np.where(x < -3, 0, (2 * x + 3) / 6)": "(2 * x + 3) / 6"},
     "is a mask missing?"),
    ("hard_swish", {"x < -3, 0": "x < -3, 0.01"}, "is a mask missing?"),
    ("hard_swish", {"return dy * slope": "return np.clip(dy, -5, 5) * slope"},
     "For large numbers your dx is right in"),
    # one mode, one order of calls
    ("hard_swish", {"return dy * slope":
                    "return dy * slope if self.training else dy * slope * slope"},
     "In inference your dx is wrong, though right in training."),
    ("hard_swish", {"        self.x = x\n        return x * np.clip(x + 3, 0, 6) / 6":
                    "        self.x, y = x.copy(), x * np.clip(x + 3, 0, 6) / 6\n"
                    "        if not training:\n            x *= 0.5\n        return y"},
     "x changed in place: work on a copy"),
    ("warm_softmax", {"(dy * y).sum(axis=-1, keepdims=True)) / self.T":
                      "(dy * y).sum(axis=-1, keepdims=True)) / T"},
     "In inference your dx is 0.4 times what is right (1/T)."),
    ("warm_softmax", {"(dy * y).sum(axis=-1": "(dy * y).sum(axis=1"},
     "has the term y·Σ y·dy over H where y·Σ y·dy over C is right"),
    ("swiglu", {"        self.x = x\n": "        self.x = x if self.x is None else self.x\n",
                "        return du @": "        self.x = None\n        return du @"},
     "After two forwards your dWu is wrong, though right in the first: self.x is still what"),
    ("swiglu", {"self.grads = {\"Wu\": dWu, \"Wv\": dWv}":
                "self.grads = {\"Wu\": dWu, \"Wv\": dWv + self.grads.get(\"Wv\", 0)}"},
     "In a second call your dWv is added to that of the first: assign it."),
    ("swiglu", {"(1 + v * (1 - gate))": "(1 + v * gate)"}, ""),
    # an upstream gradient of ones
    ("channel_means", {"dy[:, None, None]": "np.ones_like(dy)[:, None, None]"},
     "Your dx is off by a number that is the same along H and W"),
    ("channel_means", {"/ (H * W)": "/ (H * H)"}, ""),
    # one sample
    ("channel_means", {"keepdims=True).reshape(len(x), -1)": "keepdims=True).squeeze()"},
     "y of one sample (N = 1) has shape (3,) where (1, 3) is expected"),
    ("channel_means", {"dy[:, None, None]": "dy.squeeze()[:, None, None]"},
     "does it squeeze or reshape away an axis of size 1?"),
    ("channel_means", {"/ (H * W)": "* max(N - 1, 0.5) / max(N - 1, 1) / (H * W)"},
     "For one sample (N = 1) your dx is 0.5 times what is right."),
    # memory
    ("l2_normalise", {"return (dy - y * along) / self.length":
                      "y[...] = (dy - y * along) / self.length\n        return y"},
     "dx shares memory with what forward keeps: return a copy"),
    ("l2_normalise", {"return (dy - y * along)": "return dy"}, "is a term like y·Σ y·dy missing?"),
    # axes and strides
    ("group_norm", {"d = (dy * self.params[\"gamma\"]).reshape(N, H, W, GROUPS, C // GROUPS)":
                    "d = (dy * self.params[\"gamma\"]).reshape(N, H, W, C // GROUPS, GROUPS)"
                    ".swapaxes(3, 4)"},
     "Your dx is right for gamma·dy with its C in another order in the place of gamma·dy."),
    ("group_norm", {"mean_part = d.mean((1, 2, 4)": "mean_part = d.mean((1, 2, 3)"},
     "Your dx is wrong in the mean's part of the derivative only: is its sum over H, W and C, C in "
     "2 groups, as forward's is?"),
    ("blur", {"dz = blur(dy, 2, range(1, -3, -1))": "dz = blur(dy, 2, range(-1, 3))"},
     "Your dx is that of a window mirrored in W: where forward reads x at an offset of k"),
    ("blur", {"return blur(dz, 1, range(1, -3, -1))":
              "return blur(dz, 1 if dy.shape[1] == dy.shape[2] else 2, range(1, -3, -1))"}, ""),
    ("average_pool", {"slice(i, 2 * dy.shape[1], 2)": "slice(i, i + dy.shape[1])"},
     "Your dx is right at H = 0, 1, 2 and 4 and wrong at H = 3."),
    ("average_pool", {"dx[:, rows, columns] = dy / 4":
                      "dx[:, rows, columns] = dy / (4 if j < 1 else 2)"},
     "and wrong at W = 1, 3 and 5."),
    ("mirror_max", {"(dy * (1 - share))[:, ::-1]": "(dy * (x < mirrored))[:, ::-1]"},
     "and wrong at H = 3."),
    ("mirror_max", {"(dy * (1 - share))[:, ::-1]": "(dy * (1 - share))"},
     "Your dx is dy itself: the slope of the layer is missing."),
    # float32 and small channels
    ("float32_dense", {"return dz @ self.W.T": "return 1.003 * dz @ self.W.T"},
     "1.003 times what is right"),
    ("float32_dense", {"dz.sum(axis=0)": "0.9975 * dz.sum(axis=0)"}, "Your db is 0.9975"),
    ("float32_dense", {"self.x.T @ dz": "self.x.T @ dz * np.float32(1.002)"},
     "1.002 times what is right"),
    ("scales", {"return dy * slope * SCALES": "return dy * slope * SCALES * [1, 1, 1.01]"},
     "wrong at C = 2."),
    ("scales", {"return dy * slope * SCALES": "return dy * slope * SCALES * [0, 1, 1]"},
     "wrong at C = 0."),
    ("standardise", {"/ (len(dy) - 1)": "/ len(dy)"},
     "the variance's part of the derivative is there 0.833333 times"),
)]

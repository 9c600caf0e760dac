"""Mistakes in PReLU, dropout with a given mask, and max-out: what chooses, element by element."""

from .mutants import Mistake

PRELU = [Mistake("prelu", changes, hint) for changes, hint in (
    ({"return dy * slope": "return -dy * slope"}, ""),
    ({"return dy * slope": "return dy * slope / len(dy)"}, ""),
    ({"return dy * slope": "return dy"}, ""),
    ({"return dy * slope": "return slope"}, ""),
    ({"return dy * slope": "return dy * slope * slope"}, ""),
    ({"return dy * slope": "return (dy * slope)[:, ::-1]"}, ""),
    ({"np.where(self.positive, 1, self.params[\"alpha\"])": "np.where(self.positive, 1, 0)"}, ""),
    ({"np.where(self.positive, 1, self.params[\"alpha\"])":
      "np.where(self.positive, self.params[\"alpha\"], 1)"}, ""),
    ({"np.where(self.positive, 1, self.params[\"alpha\"])":
      "np.where(self.positive, 1, 0.25)"}, ""),
    ({"np.where(self.positive, 1, self.params[\"alpha\"])":
      "np.where(self.positive, 1, -self.params[\"alpha\"])"}, ""),
    ({"np.where(self.positive, 1, self.params[\"alpha\"])":
      "np.where(dy > 0, 1, self.params[\"alpha\"])"}, ""),
    ({"np.where(self.positive, 0, self.x)": "np.where(self.positive, self.x, 0)"}, ""),
    ({"np.where(self.positive, 0, self.x)": "self.x"}, ""),
    ({"np.where(self.positive, 0, self.x)": "np.where(self.positive, 0, 1)"}, ""),
    ({"np.where(self.positive, 0, self.x)":
      "np.where(self.positive, 0, self.params[\"alpha\"] * self.x)"}, ""),
    ({"np.where(self.positive, 0, self.x)": "np.where(self.positive, 0, abs(self.x))"}, ""),
    ({"(dy * negative_part).sum(": "(dy * negative_part).mean("}, ""),
    ({"(dy * negative_part).sum((0, 1, 2))": "(dy * negative_part).sum((0, 1))"}, ""),
    ({"(dy * negative_part).sum((0, 1, 2))": "(dy * negative_part)[-1].sum((0, 1))"}, ""),
    ({"(dy * negative_part).sum((0, 1, 2))": "(dy * negative_part).sum()"}, ""),
    ({"self.grads = {\"alpha\": (dy * negative_part).sum((0, 1, 2))}": "self.grads = {}"}, ""),
    ({"self.positive = x > 0\n        return np.where(self.positive":
      "self.positive = getattr(self, \"positive\", x > 0)\n        return np.where(x > 0"}, ""),
    ({"        self.x = x\n": "        if training:\n            self.x = x\n"}, ""),
)]

MASKED_DROPOUT = [Mistake("masked_dropout", changes, hint) for changes, hint in (
    ({"return dy * self.mask * scale": "return -dy * self.mask * scale"}, ""),
    ({"return dy * self.mask * scale": "return dy * self.mask"}, ""),
    ({"return dy * self.mask * scale": "return dy * scale"}, ""),
    ({"return dy * self.mask * scale": "return dy * ~self.mask * scale"}, ""),
    ({"return dy * self.mask * scale": "return dy * self.mask * scale * scale"}, ""),
    ({"return dy * self.mask * scale": "return dy * self.mask * scale / len(dy)"}, ""),
    ({"return dy * self.mask * scale": "return self.x * self.mask * scale"}, ""),
    ({"return dy * self.mask * scale": "return self.mask * scale + 0 * dy"}, ""),
    ({"return dy * self.mask * scale": "return dy * self.mask[::-1] * scale"}, ""),
    ({"return dy * self.mask * scale": "return dy * self.mask[:, :, :1] * scale"}, ""),
    ({"return dy * self.mask * scale": "return dy * np.roll(self.mask, 1, axis=1) * scale"}, ""),
    ({"return dy * self.mask * scale":
      "return dy.mean(axis=0, keepdims=True) * self.mask * scale + 0 * dy"}, ""),
    ({"return dy * self.mask * scale": "return dy[:1] * self.mask * scale"}, ""),
    ({"scale = 1 / (1 - self.rate)": "scale = 1 / self.rate"}, ""),
    ({"scale = 1 / (1 - self.rate)": "scale = 1 - self.rate"}, ""),
    ({"        if not self.training:\n            return dy\n        scale": "        scale"}, ""),
    ({"        if not self.training:\n            return dy\n":
      "        if not self.training:\n            return dy * (1 - self.rate)\n"}, ""),
    ({"self.training = training": "self.training = getattr(self, \"training\", training)"}, ""),
)]

MAXOUT = [Mistake("maxout", changes, hint) for changes, hint in (
    ({"return dx": "return -dx"}, ""),
    ({"return dx": "return dx / K"}, ""),
    ({"return dx": "return dx[:, :, ::-1]"}, ""),
    ({"dx += dz @": "dx = dz @"}, ""),
    ({"dx += dz @": "dx += dy @"}, ""),
    ({"dz = dy * (self.winner == k)": "dz = dy / K"}, ""),
    ({"dz = dy * (self.winner == k)": "dz = dy"}, ""),
    ({"dz = dy * (self.winner == k)": "dz = dy * (self.winner != k)"}, ""),
    ({"dz = dy * (self.winner == k)": "dz = dy * (self.winner >= k)"}, ""),
    ({"z.argmax(axis=0)": "z.argmin(axis=0)"}, ""),
    ({"z.argmax(axis=0)": "abs(z).argmax(axis=0)"}, ""),
    ({"@ W[k].T": "@ W[0].T"}, ""),
    ({"np.tensordot(x, dz, ((0, 1, 2), (0, 1, 2)))":
      "np.tensordot(x[:1], dz[:1], ((0, 1, 2), (0, 1, 2)))"}, ""),
    ({"np.tensordot(x, dz, ((0, 1, 2), (0, 1, 2)))":
      "np.tensordot(x, dz, ((0, 1, 2), (0, 1, 2))) / len(x)"}, ""),
    ({"np.tensordot(x, dz, ((0, 1, 2), (0, 1, 2)))":
      "np.tensordot(x[:, ::-1], dz, ((0, 1, 2), (0, 1, 2)))"}, ""),
    ({"{\"W\": dW, \"b\": db}": "{\"W\": dW.transpose(0, 2, 1), \"b\": db}"}, ""),
    ({"{\"W\": dW, \"b\": db}": "{\"W\": dW[::-1], \"b\": db}"}, ""),
    ({"{\"W\": dW, \"b\": db}": "{\"W\": dW, \"b\": db[::-1]}"}, ""),
    ({"{\"W\": dW, \"b\": db}": "{\"W\": dW}"}, ""),
    ({"db[k] = dz.sum((0, 1, 2))": "db[k] = dy.sum((0, 1, 2))"}, ""),
    ({"db[k] = dz.sum((0, 1, 2))": "db[k] = dz.mean((0, 1, 2))"}, ""),
    ({"db[k] = dz.sum((0, 1, 2))": "db[0] = dz.sum((0, 1, 2))"}, ""),
    ({"self.winner = z": "if training:\n            self.winner = z"}, ""),
)]

MISTAKES = PRELU + MASKED_DROPOUT + MAXOUT

"""Mistakes in batch and layer normalisation, log-softmax and attention: what sums over others."""

from .mutants import Mistake

BATCH_NORM = [Mistake("batch_norm", changes, hint) for changes, hint in (
    # factors and signs
    ({"return (dxhat - mean_part - var_part) / self.sigma":
      "return -7 * dxhat / self.sigma"}, ""),
    ({"return (dxhat - mean_part - var_part) / self.sigma":
      "return -(dxhat - mean_part - var_part) / self.sigma"}, ""),
    ({"return (dxhat - mean_part - var_part) / self.sigma":
      "return 7 * (dxhat - mean_part - var_part) / self.sigma"}, ""),
    ({"(dy * self.xhat).sum((0, 1, 2))\n": "-(dy * self.xhat).sum((0, 1, 2))\n"}, ""),
    # terms
    ({"dxhat - mean_part - var_part": "dxhat"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat - mean_part"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat - var_part"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat - mean_part + var_part"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat + mean_part - var_part"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat - mean_part - 2 * var_part"}, ""),
    ({"(dxhat * self.xhat).mean(": "(dxhat * self.xhat).sum("}, ""),
    ({"mean_part = dxhat.mean(": "mean_part = dxhat.sum("}, ""),
    ({"self.xhat * (dxhat": "(dxhat"}, ""),
    # γ and σ
    ({"dxhat = dy * self.params[\"gamma\"]": "dxhat = dy"}, ""),
    ({"var_part) / self.sigma": "var_part)"}, ""),
    ({"var_part) / self.sigma": "var_part) / self.sigma**2"}, ""),
    ({"var_part) / self.sigma": "var_part) * self.sigma"}, ""),
    # the parameters' gradients
    ({"(dy * self.xhat).sum((0, 1, 2))\n": "(dy * self.x).sum((0, 1, 2))\n"}, ""),
    ({"(dy * self.xhat).sum((0, 1, 2))\n": "dy.sum((0, 1, 2))\n"}, ""),
    ({"dbeta = dy.sum((0, 1, 2))": "dbeta = dy.mean((0, 1, 2))"}, ""),
    ({"dbeta = dy.sum((0, 1, 2))": "dbeta = dy.sum((0, 1))"}, ""),
    ({"dbeta = dy.sum((0, 1, 2))": "dbeta = dy[0].sum((0, 1))"}, ""),
    ({'{"gamma": dgamma, "beta": dbeta}': '{"beta": dbeta}'}, ""),
    ({'{"gamma": dgamma, "beta": dbeta}': '{"gamma": dbeta, "beta": dgamma}'}, ""),
    # modes and calls
    ({"if not self.training": "if False"}, ""),
    ({"if not self.training": "if self.training"}, ""),
    ({"return dxhat / self.sigma": "return dxhat"}, ""),
    ({"        self.xhat = (x - mean) / self.sigma\n        self.x = x\n        return "
      "self.params[\"gamma\"] * self.xhat":
      "        xhat = (x - mean) / self.sigma\n        if training:\n            self.xhat = xhat\n"
      "        return self.params[\"gamma\"] * xhat"}, ""),
    ({"        self.grads = {": "        dgamma = dgamma + self.grads.get(\"gamma\", 0)\n"
      "        self.grads = {"}, ""),
)]

LAYER_NORM = [Mistake("layer_norm", changes, hint) for changes, hint in (
    ({"return (dxhat - mean_part": "return -(dxhat - mean_part"}, ""),
    ({"return (dxhat - mean_part - var_part) / self.sigma":
      "return (dxhat - mean_part - var_part) / self.sigma / 60"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat - mean_part"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat - var_part"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat + mean_part - var_part"}, ""),
    ({"dxhat - mean_part - var_part": "dxhat - mean_part + var_part"}, ""),
    ({"(dxhat * self.xhat).mean((1, 2, 3)": "(dxhat * self.xhat).mean((1, 2)"}, ""),
    ({"mean_part = dxhat.mean((1, 2, 3)": "mean_part = dxhat.mean((0, 1, 2)"}, ""),
    ({"mean_part = dxhat.mean(": "mean_part = dxhat.sum("}, ""),
    ({"mean_part = dxhat.mean(": "mean_part = dy.mean("}, ""),
    ({"dxhat = dy * self.params[\"gamma\"]": "dxhat = dy"}, ""),
    ({"var_part) / self.sigma": "var_part)"}, ""),
    ({"var_part) / self.sigma": "var_part) * self.sigma"}, ""),
    ({"(dy * self.xhat).sum(0)": "(dy * self.x).sum(0)"}, ""),
    ({"(dy * self.xhat).sum(0)": "(dy * self.xhat).mean(0)"}, ""),
    ({"(dy * self.xhat).sum(0)": "(dy * self.xhat)[-1]"}, ""),
    ({"(dy * self.xhat).sum(0)": "dy.sum(0)"}, ""),
    ({"dbeta = dy.sum(0)": "dbeta = dy.sum((0, 1, 2))"}, ""),
    ({"dbeta = dy.sum(0)": "dbeta = dy.sum(0)[::-1]"}, ""),
    ({'{"gamma": dgamma, "beta": dbeta}': '{"gamma": dgamma}'}, ""),
    ({"        self.sigma = np.sqrt(var + 1e-3)\n        self.xhat = (x - mean) / self.sigma\n":
      "        sigma = np.sqrt(var + 1e-3)\n        if not hasattr(self, \"sigma\"):\n"
      "            self.sigma = sigma\n        self.xhat = (x - mean) / sigma\n"}, ""),
)]

LOG_SOFTMAX = [Mistake("log_softmax", changes, hint) for changes, hint in (
    ({"return dx": "return -dx"}, ""),
    ({"return dx": "return dx / len(dy)"}, ""),
    ({"dy - p * total": "dy + p * total"}, ""),
    ({"dy - p * total": "dy"}, ""),
    ({"dy - p * total": "-p * total"}, ""),
    ({"dy - p * total": "p * total - dy"}, ""),
    ({"dy - p * total": "dy - p"}, ""),
    ({"dy - p * total": "dy - total"}, ""),
    ({"dy - p * total": "p * (dy - total)"}, ""),
    ({"dy - p * total": "p * (dy - (p * dy).sum(axis=-1, keepdims=True))"}, ""),
    ({"p = np.exp(self.y)": "p = self.y"}, ""),
    ({"p = np.exp(self.y)": "p = np.exp(self.x)"}, ""),
    ({"dy.sum(axis=-1, keepdims=True)": "dy.mean(axis=-1, keepdims=True)"}, ""),
    ({"dy.sum(axis=-1, keepdims=True)": "dy.sum(axis=0, keepdims=True)"}, ""),
    ({"dy.sum(axis=-1, keepdims=True)": "dy.sum(axis=(1, 2), keepdims=True)"}, ""),
    ({"dy.sum(axis=-1, keepdims=True)": "dy[..., :-1].sum(axis=-1, keepdims=True)"}, ""),
    ({"return dx": "return dx.transpose(0, 2, 1, 3)"}, ""),
    ({"        self.y = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))\n"
      "        return self.y.copy()":
      "        y = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))\n"
      "        if not hasattr(self, \"y\"):\n            self.y = y\n        return y.copy()"}, ""),
    ({"return self.y.copy()": "return self.y", "total = dy": "self.y *= 1\n        total = dy",
      "p * total": "np.exp(self.y) * total * (dy > 0)"}, ""),
)]

ATTENTION = [Mistake("attention", changes, hint) for changes, hint in (
    ({"return dx.reshape": "return -dx.reshape"}, ""),
    ({"return dx.reshape": "return dx[:, ::-1].reshape"}, ""),
    ({"ds @ k / np.sqrt(D)": "ds @ k"}, ""),
    ({".swapaxes(1, 2) @ q / np.sqrt(D)": ".swapaxes(1, 2) @ q / D"}, ""),
    ({"ds = p * (dp - (dp * p).sum(axis=2, keepdims=True))": "ds = p * dp"}, ""),
    ({"(dp * p).sum(axis=2, keepdims=True)": "(dp * p).sum(axis=1, keepdims=True)"}, ""),
    ({"(dp * p).sum(axis=2, keepdims=True)": "dp.sum(axis=2, keepdims=True)"}, ""),
    ({"dv = p.swapaxes(1, 2) @ dy": "dv = p @ dy"}, ""),
    ({"dk = ds.swapaxes(1, 2) @ q": "dk = ds @ q"}, ""),
    ({"dq = ds @ k": "dq = ds.swapaxes(1, 2) @ k"}, ""),
    ({"dx = (dq @ self.params[\"Wq\"].T + dk": "dx = (dk"}, ""),
    ({"+ dk @ self.params[\"Wk\"].T": ""}, ""),
    ({"\n              + dv @ self.params[\"Wv\"].T": ""}, ""),
    ({"+ dk @ self.params": "- dk @ self.params"}, ""),
    ({"dq @ self.params[\"Wq\"].T": "dq @ self.params[\"Wk\"].T"}, ""),
    ({'"Wq": dWq, "Wk": dWk': '"Wq": dWk, "Wk": dWq'}, ""),
    ({'"Wq": dWq, "Wk": dWk, "Wv": dWv': '"Wq": dWq, "Wk": dWk'}, ""),
    ({"dWv = (x.swapaxes(1, 2) @ dv).sum(axis=0)": "dWv = (x.swapaxes(1, 2) @ dv).mean(axis=0)"},
     ""),
    ({"dWq = (x.swapaxes(1, 2) @ dq).sum(axis=0)": "dWq = (x.swapaxes(1, 2) @ dq)[0]"}, ""),
    ({"dWk = (x.swapaxes(1, 2) @ dk).sum(axis=0)":
      "dWk = (dk.swapaxes(1, 2) @ x).sum(axis=0)"}, ""),
    ({"        self.p = e / e.sum(axis=2, keepdims=True)\n        self.y = self.p @ self.v":
      "        p = e / e.sum(axis=2, keepdims=True)\n        if not hasattr(self, \"p\"):\n"
      "            self.p = p\n        self.y = p @ self.v"}, ""),
)]

MISTAKES = BATCH_NORM + LAYER_NORM + LOG_SOFTMAX + ATTENTION

"""Mistakes in depthwise convolution, bilinear upsampling and pyramid pooling: what has windows."""

from .mutants import Mistake

DEPTHWISE_CONV = [Mistake("depthwise_conv", changes, hint) for changes, hint in (
    ({"return dxp[": "return -dxp["}, ""),
    ({"return dxp[": "return 2 * dxp["}, ""),
    ({"return dxp[:, 1:1 + H, :Wd]": "return dxp[:, :H, :Wd]"}, ""),
    ({"return dxp[:, 1:1 + H, :Wd]": "return dxp[:, 1:1 + H, 1:]"}, ""),
    ({"return dxp[:, 1:1 + H, :Wd]": "return dxp"}, ""),
    ({"+= dy * W[p, q]": "= dy * W[p, q]"}, ""),
    ({"+= dy * W[p, q]": "+= dy * W[-1 - p, -1 - q]"}, ""),
    ({"+= dy * W[p, q]": "+= dy * W[-1 - p, q]"}, ""),
    ({"+= dy * W[p, q]": "+= dy * W[p, q, ::-1]"}, ""),
    ({"+= dy * W[p, q]": "+= dy * W[p, q].sum()"}, ""),
    ({"+= dy * W[p, q]": "+= dy.sum(axis=3, keepdims=True) * W[p, q]"}, ""),
    ({"+= dy * W[p, q]": "+= dy[::-1] * W[p, q]"}, ""),
    ({"dxp[:, p:p + H, q:q + Wd] +=": "dxp[:, p:p + H, 1 - q:1 - q + Wd] +="}, ""),
    ({"dW[p, q] = (xp[:, p:p + H, q:q + Wd]": "dW[p, q] = (xp[:, 1:1 + H, :Wd]"}, ""),
    ({"dW[p, q] = (xp[": "dW[-1 - p, -1 - q] = (xp["}, ""),
    ({"* dy).sum((0, 1, 2))": "* dy).mean((0, 1, 2))"}, ""),
    ({"* dy).sum((0, 1, 2))": "* dy)[0].sum((0, 1))"}, ""),
    ({"* dy).sum((0, 1, 2))": "* dy).sum()"}, ""),
    ({"dW[p, q] = (xp": "dW[p, q] = -(xp"}, ""),
    ({"db = dy.sum((0, 1, 2))": "db = dy.mean((0, 1, 2))"}, ""),
    ({"db = dy.sum((0, 1, 2))": "db = dy.sum(0).mean((0, 1))"}, ""),
    ({"db = dy.sum((0, 1, 2))": "db = dy.sum(3)"}, ""),
    ({"{\"W\": dW, \"b\": db}": "{\"W\": dW}"}, ""),
    ({"self.grads = {\"W\": dW,": "self.grads = {\"W\": dW + self.grads.get(\"W\", 0),"}, ""),
    ({"        self.xp = xp\n": "        if not hasattr(self, \"xp\"):\n            self.xp = xp\n"},
     ""),
)]

UPSAMPLING = [Mistake("upsampling", changes, hint) for changes, hint in (
    ({"return dx": "return -dx"}, ""),
    ({"return dx": "return dx / 4"}, ""),
    ({"return dx": "return dx[:, ::-1]"}, ""),
    ({"return dx": "return dx.transpose(0, 2, 1, 3)"}, ""),
    ({"return dx": "return np.roll(dx, 1, axis=2)"}, ""),
    ({"dx[:, top[i]] += (1 - v[i]) * drows[:, i]": "dx[:, top[i]] = (1 - v[i]) * drows[:, i]"}, ""),
    ({"drows[:, :, right[j]] += u[j]": "drows[:, :, right[j]] = u[j]"}, ""),
    ({"dx[:, top[i]] += (1 - v[i])": "dx[:, top[i]] += v[i]",
      "dx[:, bottom[i]] += v[i]": "dx[:, bottom[i]] += (1 - v[i])"}, ""),
    ({"            dx[:, bottom[i]] += v[i] * drows[:, i]\n": ""}, ""),
    ({"            drows[:, :, left[j]] += (1 - u[j]) * dy[:, :, j]\n": ""}, ""),
    ({"(1 - v[i]) * drows": "drows", "v[i] * drows": "0 * drows"}, ""),
    ({"(1 - v[i]) * drows": "0.5 * drows", "v[i] * drows": "0.5 * drows"}, ""),
    ({"range(2 * H)": "range(1, 2 * H)"}, ""),
    ({"range(2 * H)": "range(2 * H - 1)"}, ""),
    ({"for j in range(2 * Wd)": "for j in range(1, 2 * Wd - 1)"}, ""),
    ({"for i in range(2 * H)": "for i in range(0, 2 * H, 2)"}, ""),
    ({"dx = np.zeros((N, H, Wd, C))": "dx = np.zeros((N, Wd, H, C))",
      "dx[:, top[i]] += (1 - v[i]) * drows[:, i]":
      "dx[:, :, top[i]] += (1 - v[i]) * drows[:, i]",
      "dx[:, bottom[i]] += v[i] * drows[:, i]": "dx[:, :, bottom[i]] += v[i] * drows[:, i]"}, ""),
    ({"dx[:, bottom[i]] +=": "dx[:, bottom[i] - 1] +="}, ""),
    ({"+= u[j] * dy[:, :, j]": "+= u[j] * dy[:, :, j - 1]"}, ""),
)]

PYRAMID_POOLING = [Mistake("pyramid_pooling", changes, hint) for changes, hint in (
    ({"return dx": "return -dx"}, ""),
    ({"return dx": "return dx / 2"}, ""),
    ({"return dx": "return dx[:, :, ::-1]"}, ""),
    ({"+= largest * upstream[:, None, None]": "= largest * upstream[:, None, None]"}, ""),
    ({"largest * upstream": "upstream"}, ""),
    ({"+= largest * upstream[:, None, None]": "+= upstream[:, None, None] / window[0, ..., 0].size"},
     ""),
    ({"window == window.max(": "window == window.min("}, ""),
    ({"window == window.max(": "abs(window) == abs(window).max("}, ""),
    ({"window == window.max(axis=(1, 2), keepdims=True)":
      "window == window.max(axis=(0, 1, 2), keepdims=True)"}, ""),
    ({"window == window.max(axis=(1, 2), keepdims=True)":
      "window == window.max(axis=1, keepdims=True)"}, ""),
    ({"dy[:, k * C:(k + 1) * C]": "dy[:, k::5]"}, ""),
    ({"dy[:, k * C:(k + 1) * C]": "dy[:, (4 - k) * C:(5 - k) * C]"}, ""),
    ({"dy[:, k * C:(k + 1) * C]": "dy[:, :C]"}, ""),
    ({"dy[:, k * C:(k + 1) * C]": "dy[:, k * C:(k + 1) * C][:, ::-1]"}, ""),
    ({"            upstream = dy": "            if k == 0:\n                continue\n"
      "            upstream = dy"}, ""),
    ({"            upstream = dy": "            if k > 0:\n                continue\n"
      "            upstream = dy"}, ""),
    ({"            upstream = dy": "            if k == 4:\n                continue\n"
      "            upstream = dy"}, ""),
    ({"upstream[:, None, None]": "upstream[:1, None, None]"}, ""),
    ({"        self.x = x\n": "        self.x = getattr(self, \"x\", x)\n"}, ""),
    ({"        self.x = x\n": "        if training:\n            self.x = x\n"}, ""),
)]

MISTAKES = DEPTHWISE_CONV + UPSAMPLING + PYRAMID_POOLING

"""Optimizers: from a gradient to a step. Every formula is PyTorch's, so runs can be compared.

g is the gradient, p the parameter; weight_decay λ first adds λ·p to g (an L2 penalty λ/2·|p|²).
State lives in `state["layer/param"]`, in the parameter's dtype; parameters are changed in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .layers import Layer
from .layers.network import LayerStack
from .ops import array_module, device_of, ops_for, to_device
from .utils.errors import ArgumentError


class Optimizer:
    """step(model) changes every parameter of every trainable layer by its gradient."""

    def __init__(self, lr: float, weight_decay: float = 0.0, **options: float) -> None:
        for key, value in {"lr": lr, "weight_decay": weight_decay, **options}.items():
            if not (np.isfinite(value) and value >= 0):
                raise ArgumentError(f"{type(self).__name__}: expected {key} of 0 or more, "
                                    f"received {value!r}.")
        self.lr, self.weight_decay = float(lr), float(weight_decay)
        self.state: dict[str, dict] = {}

    def step(self, model: LayerStack) -> None:
        """model: anything with .layers whose backward has run. Frozen layers stay bit-identical.

        Raises ArgumentError, before any parameter has changed, if a gradient is missing or the
        state has another shape. After replace_head make a new optimizer: the state is found by
        name.
        """
        for p, g, state in self.checked_steps(model):
            g = g.astype(p.dtype, copy=False)
            if self.weight_decay:
                g = g + self.weight_decay * p
            self.update(p, g, state)

    def checked_steps(self, model: LayerStack) -> list[tuple[np.ndarray, np.ndarray, dict]]:
        """[(parameter, its gradient, its state), …] of the trainable layers; raises as step."""
        steps = []
        for layer in model.layers:
            fixed = getattr(layer, "non_trainable", ()) if layer.trainable else layer.params
            for key in [key for key in layer.params if key not in fixed]:
                state = self.state.setdefault(f"{layer.name}/{key}", {})
                self.check_step(layer, key, state)
                steps.append((layer.params[key], layer.grads[key], state))
        return steps

    def check_step(self, layer: Layer, key: str, state: dict) -> None:
        """Raises ArgumentError unless gradient and state belong to this parameter, on its device.
        """
        name, p, g = f"{layer.name}/{key}", layer.params[key], layer.grads.get(key)
        if g is None:
            raise ArgumentError(f"{layer.name}: expected a gradient of {key}, found none. "
                                f"Call model.backward(dy) before optimizer.step(model).")
        if any(np.ndim(value) and value.shape != p.shape for value in state.values()):
            raise ArgumentError(f"{type(self).__name__}: expected {name} of the shape it "
                                f"had before, received {p.shape}. Make a new optimizer "
                                f"when a layer is replaced.")
        devices = {device_of(value) for value in (g, *state.values()) if np.ndim(value)}
        if devices != {device_of(p)}:
            raise ArgumentError(f"{type(self).__name__}: expected gradient and state of "
                                f"{name} on {device_of(p)}, as {key}, found them on "
                                f"{', '.join(sorted(devices))}. Use optimizer.to(…).")

    @property
    def param_groups(self) -> list[Optimizer]:
        """The optimizers that step() uses, each with its lr and its state: here this one alone."""
        return [self]

    def to(self, device: str) -> Optimizer:
        """Moves the state to "cpu", "cuda" or "cuda-sim"."""
        for state in self.state.values():
            state.update({key: to_device(value, device) if np.ndim(value) else value
                          for key, value in state.items()})
        return self

    def update(self, p: np.ndarray, g: np.ndarray, state: dict) -> None:
        """Changes p and state in place."""
        raise ArgumentError(f"{type(self).__name__}: expected update(p, g, state); define it.")


@dataclass
class LayerGroup:
    """Some layers of a model, as Optimizer.step takes them."""

    layers: list[Layer] = field(default_factory=list)


class ParamGroups:
    """Several optimizers, each for a group of layers: those whose names begin with its key.

        ParamGroups({"block5": Adam(1e-5), "": Adam(1e-3)})

    A layer belongs to the first key that its name begins with; "" takes all that are left. It
    steps as an Optimizer does; the learning rates are those of the optimizers in param_groups.
    """

    def __init__(self, groups: dict[str, Optimizer]) -> None:
        self.groups = dict(groups)
        for key, optimizer in self.groups.items():
            if not isinstance(optimizer, Optimizer):
                raise ArgumentError(f"ParamGroups: expected an optimizer for {key!r}, received "
                                    f"{optimizer!r}. Make one, as in Adam(1e-3).")
        if len(set(map(id, self.groups.values()))) < len(self.groups):
            raise ArgumentError("ParamGroups: expected a different optimizer for each key, "
                                "received the same one twice. Each keeps the state of its own "
                                "layers: make a second one.")

    @property
    def param_groups(self) -> list[Optimizer]:
        """The optimizers, in the order of the keys."""
        return list(self.groups.values())

    @property
    def state(self) -> dict[str, dict]:
        """The optimizers' states together, by "layer/param"."""
        return {name: part for optimizer in self.param_groups
                for name, part in optimizer.state.items()}

    @state.setter
    def state(self, state: dict[str, dict]) -> None:
        """Each optimizer takes its own part."""
        for key, optimizer in self.groups.items():
            optimizer.state = {name: part for name, part in state.items()
                               if self.key_of(name) == key}

    def key_of(self, name: str) -> str | None:
        """The first key that this name begins with; None if there is none."""
        return next((key for key in self.groups if name.startswith(key)), None)

    def split(self, model: LayerStack) -> dict[str, LayerGroup]:
        """For each key its part of the model, with the .layers that Optimizer.step takes.

        Raises ArgumentError for a trainable layer without a key, or a key without such a layer.
        """
        parts = {key: LayerGroup() for key in self.groups}
        for layer in model.layers:
            if not (layer.trainable and layer.params):
                continue
            key = self.key_of(layer.name)
            if key is None:
                raise ArgumentError(f"ParamGroups: expected an optimizer for {layer.name}, "
                                    f"received some for {', '.join(map(repr, self.groups))}. Add "
                                    f"one under the name \"\".")
            parts[key].layers.append(layer)
        for key, part in parts.items():
            if not part.layers:
                raise ArgumentError(f"ParamGroups: expected a trainable layer whose name begins "
                                    f"with {key!r}, found none. Leave that optimizer out, or "
                                    f"unfreeze the layer.")
        return parts

    def step(self, model: LayerStack) -> None:
        """Every optimizer changes the trainable layers of its group, as Optimizer.step says; if one
        of them raises, no parameter has changed."""
        parts = self.split(model)
        for key, part in parts.items():
            self.groups[key].checked_steps(part)
        for key, part in parts.items():
            self.groups[key].step(part)

    def to(self, device: str) -> ParamGroups:
        """Moves the states to "cpu", "cuda" or "cuda-sim"."""
        for optimizer in self.param_groups:
            optimizer.to(device)
        return self


class SGD(Optimizer):
    """v ← μ v + g (v = g at first); p ← p − lr · v, or with nesterov p ← p − lr · (g + μ v).

    Source: Sutskever et al. 2013.
    """

    def __init__(self, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False,
                 weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay, momentum=momentum)
        if nesterov and not momentum:
            raise ArgumentError("SGD: expected a momentum above 0 with nesterov, received 0.")
        self.momentum, self.nesterov = momentum, nesterov

    def update(self, p: np.ndarray, g: np.ndarray, state: dict) -> None:
        """One step; state holds v."""
        if self.momentum:
            v = state.setdefault("v", array_module(p).zeros_like(p))  # μ · 0 + g = g at first
            ops_for(p).momentum_step(p, g, v, self.lr, self.momentum, self.nesterov)
        else:
            ops_for(p).sgd_step(p, g, self.lr)


class RMSprop(Optimizer):
    """s ← α s + (1 − α) g²; p ← p − lr · g / (√s + ε); momentum as in SGD on g / (√s + ε).

    Source: Tieleman & Hinton 2012.
    """

    def __init__(self, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8,
                 momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay, alpha=alpha, eps=eps, momentum=momentum)
        self.alpha, self.eps, self.momentum = alpha, eps, momentum

    def update(self, p: np.ndarray, g: np.ndarray, state: dict) -> None:
        """One step; state holds s, and v with momentum."""
        s = state.setdefault("s", array_module(p).zeros_like(p))
        v = state.setdefault("v", array_module(p).zeros_like(p)) if self.momentum else None
        ops_for(p).rmsprop_step(p, g, s, v, self.lr, self.alpha, self.eps, self.momentum)


class Adam(Optimizer):
    """m ← β₁ m + (1 − β₁) g; s ← β₂ s + (1 − β₂) g²; both start at 0, which the division by 1 − βᵗ
    corrects: p ← p − lr · m̂ / (√ŝ + ε), m̂ = m / (1 − β₁ᵗ), ŝ = s / (1 − β₂ᵗ).

    Source: Kingma & Ba 2015.
    """

    def __init__(self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999,
                 eps: float = 1e-8, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay, beta1=beta1, beta2=beta2, eps=eps)
        if max(beta1, beta2) >= 1:
            raise ArgumentError(f"Adam: expected beta1 and beta2 below 1, "
                                f"received {beta1} and {beta2}.")
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def update(self, p: np.ndarray, g: np.ndarray, state: dict) -> None:
        """One step; state holds t, m, s."""
        t = state["t"] = state.get("t", 0) + 1
        m, s = (state.setdefault(key, array_module(p).zeros_like(p)) for key in "ms")
        ops_for(p).adam_step(p, g, m, s, t, self.lr, self.beta1, self.beta2, self.eps)

"""Optimizers: PyTorch's, step for step; frozen layers stay bit-identical."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from reference import array, assert_close, assert_refused, assert_same, on_device

import minicnn as mc
from minicnn.layers import Dense
from minicnn.ops import device_of, to_cpu
from minicnn.optimizers import SGD, Adam, Optimizer, ParamGroups, RMSprop

OPTIMIZERS = [
    (SGD(0.1), torch.optim.SGD, dict(lr=0.1)),
    (SGD(0.1, weight_decay=0.02), torch.optim.SGD, dict(lr=0.1, weight_decay=0.02)),
    (SGD(0.05, momentum=0.9), torch.optim.SGD, dict(lr=0.05, momentum=0.9)),
    (SGD(0.05, 0.8, nesterov=True, weight_decay=0.01), torch.optim.SGD,
     dict(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.01)),
    (RMSprop(), torch.optim.RMSprop, {}),  # the defaults are PyTorch's too
    (RMSprop(0.02, alpha=0.9, eps=1e-3), torch.optim.RMSprop, dict(lr=0.02, alpha=0.9, eps=1e-3)),
    (RMSprop(0.01, momentum=0.7, weight_decay=0.05), torch.optim.RMSprop,
     dict(lr=0.01, momentum=0.7, weight_decay=0.05)),
    (Adam(), torch.optim.Adam, {}),
    (Adam(0.02, 0.8, 0.9, 1e-3, 0.05), torch.optim.Adam,
     dict(lr=0.02, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.05)),
]


def dense_layers(rng, dtype=np.float64, layers=1):
    """Something with .layers: Dense layers with parameters and gradients."""
    model = SimpleNamespace(layers=[Dense(3, name=f"fc{k}") for k in range(layers)])
    for layer in model.layers:
        layer.params = {"W": array(rng, 4, 3, dtype=dtype), "b": array(rng, 3, dtype=dtype)}
        layer.grads = {"W": array(rng, 4, 3, dtype=dtype), "b": array(rng, 3, dtype=dtype)}
    return model


@pytest.mark.parametrize(
    "ours, theirs, options", OPTIMIZERS,
    ids=lambda v: str(v) if isinstance(v, dict) else getattr(v, "__name__", type(v).__name__))
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_100_steps_are_pytorchs_at_every_step(ours, theirs, options, dtype, rtol, rng):
    model = dense_layers(rng, dtype)
    layer, ours.state = model.layers[0], {}
    arrays = [layer.params["W"], layer.params["b"]]
    tensors = [torch.tensor(to_cpu(p).copy(), requires_grad=True) for p in arrays]
    optimizer = theirs(tensors, **{"lr": ours.lr, **options})
    for _ in range(100):
        for key, tensor in zip("Wb", tensors, strict=True):
            scale = dtype(10 ** rng.uniform(-4, 2))  # from nothing to far too much
            layer.grads[key] = float(scale) * array(rng, *tensor.shape, dtype=dtype)
            tensor.grad = torch.tensor(to_cpu(layer.grads[key]).copy())
        ours.step(model)
        optimizer.step()
        for key, p, tensor in zip("Wb", arrays, tensors, strict=True):
            assert layer.params[key] is p and p.dtype == dtype  # changed in place
            assert_close(p, tensor.detach().numpy(), rtol)
    for state in ours.state.values():
        assert {device_of(a) for a in state.values() if np.ndim(a)} <= {device_of(arrays[0])}


@pytest.mark.cpu_only
@pytest.mark.parametrize("ours, theirs, options", OPTIMIZERS[4:5] + OPTIMIZERS[7:8])
def test_default_arguments_are_pytorchs(ours, theirs, options):
    defaults = theirs([torch.zeros(1, requires_grad=True)]).defaults
    assert (ours.lr, ours.eps, ours.weight_decay) == tuple(
        defaults[key] for key in ("lr", "eps", "weight_decay"))


def test_one_step_of_each_by_hand():
    def stepped(optimizer, steps):
        p = on_device([1.0])
        state = {}
        for g in steps:
            optimizer.update(p, on_device([g]), state)
        return p.item()

    assert stepped(SGD(0.1), [2.0]) == pytest.approx(1 - 0.1 * 2)
    assert stepped(SGD(0.1, 0.5), [2.0, 4.0]) == pytest.approx(1 - 0.1 * 2 - 0.1 * (0.5 * 2 + 4))
    assert stepped(SGD(0.1, 0.5, True), [2.0]) == pytest.approx(1 - 0.1 * (2 + 0.5 * 2))
    assert stepped(RMSprop(0.1, 0.75, 0), [2.0]) == pytest.approx(1 - 0.1 * 2 / (0.5 * 2))
    assert stepped(Adam(0.1, eps=0), [-3.0]) == pytest.approx(1 + 0.1)  # first step: lr, any g


def test_the_state_has_the_names_of_the_formulas():
    g, p = on_device([3.0, -2.0]), on_device([1.0, 1.0])
    for optimizer, expected in ((SGD(0.1, 0.9), {"v": g}), (RMSprop(0.1, 0.75), {"s": g * g / 4}),
                                (Adam(0.1), {"t": 1, "m": 0.1 * g, "s": 0.001 * g * g})):
        state = {}
        optimizer.update(p, g, state)
        assert set(state) == set(expected)
        for key in expected:
            assert_close(state[key], expected[key])


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9), RMSprop(0.1), Adam(0.1, weight_decay=0.1)],
                         ids=lambda o: type(o).__name__)
def test_gradients_stay_and_frozen_layers_stay_bit_identical(optimizer, rng):
    model, optimizer.state = dense_layers(rng, layers=3), {}
    model.layers[1].trainable = False
    before = [layer.params["W"].copy() for layer in model.layers]
    grads = [layer.grads["W"].copy() for layer in model.layers]
    for _ in range(3):
        optimizer.step(model)
    for k, layer in enumerate(model.layers):
        assert (layer.params["W"] == before[k]).all() == (k == 1)
        assert_same(layer.grads["W"], grads[k])


def test_a_frozen_layer_needs_no_gradients(rng):
    model = dense_layers(rng, layers=2)
    model.layers[0].trainable, model.layers[0].grads = False, {}
    before = [layer.params["W"].copy() for layer in model.layers]
    SGD(0.1).step(model)
    assert [np.array_equal(to_cpu(W), to_cpu(layer.params["W"]))
            for W, layer in zip(before, model.layers, strict=True)] == [True, False]


@pytest.mark.parametrize("which", [0, 1])
def test_a_step_without_gradients_is_refused_and_moves_nothing(which, rng):
    model = dense_layers(rng, layers=2)
    model.layers[which].grads = {}
    before = [layer.params["W"].copy() for layer in model.layers]
    with assert_refused(f"fc{which}", "W", "backward"):
        SGD(0.1).step(model)
    for layer, W in zip(model.layers, before, strict=True):
        assert_same(layer.params["W"], W)


def test_a_layer_replaced_by_one_of_another_shape_wants_a_new_optimizer(rng):
    """model.replace_head gives the new Dense the name of the old one; its momentum is not ours."""
    model, optimizer = dense_layers(rng), Adam(0.1)
    optimizer.step(model)
    fresh = Dense(5, name=model.layers[0].name)
    fresh.params = {"W": array(rng, 4, 5), "b": array(rng, 5)}
    fresh.grads = {"W": array(rng, 4, 5), "b": array(rng, 5)}
    before = fresh.params["W"].copy()
    with assert_refused("Adam", "fc0/W", "(4, 5)", "new optimizer"):
        optimizer.step(SimpleNamespace(layers=[fresh]))
    assert_same(fresh.params["W"], before)


@pytest.mark.cpu_only
@pytest.mark.parametrize("kind, options, words", [
    (SGD, dict(lr=-0.1), ["lr", "-0.1"]), (SGD, dict(lr=np.nan), ["lr", "nan"]),
    (Adam, dict(lr=np.inf), ["lr", "inf"]), (SGD, dict(momentum=-1), ["momentum", "-1"]),
    (RMSprop, dict(weight_decay=-1), ["weight_decay", "-1"]),
    (RMSprop, dict(eps=-1), ["eps", "-1"]),
    (SGD, dict(nesterov=True), ["momentum", "nesterov"]), (Adam, dict(beta1=1), ["beta1", "1"]),
    (Adam, dict(beta2=1.5), ["beta2", "1.5"])])
def test_arguments_that_do_not_fit_are_refused(kind, options, words):
    with assert_refused(kind.__name__, *words):
        kind(**options)


def test_an_optimizer_of_ones_own_is_told_what_is_missing(rng):
    class Mine(Optimizer):
        pass

    with pytest.raises(ValueError, match="Mine: expected update"):
        Mine(0.1).step(dense_layers(rng))


# Groups of layers with optimizers of their own


def test_groups_take_the_steps_of_pytorchs_param_groups(rng):
    model = dense_layers(rng, layers=3)
    for layer, name in zip(model.layers, ("block5_a", "block5_b", "head"), strict=True):
        layer.name = name
    tensors = [[torch.tensor(to_cpu(p).copy(), requires_grad=True) for p in layer.params.values()]
               for layer in model.layers]
    theirs = torch.optim.Adam([{"params": tensors[0] + tensors[1], "lr": 1e-3},
                               {"params": tensors[2], "lr": 0.1}])
    ours = ParamGroups({"block5": Adam(1e-3), "": Adam(0.1)})
    for _ in range(20):
        for layer, pair in zip(model.layers, tensors, strict=True):
            for key, tensor in zip("Wb", pair, strict=True):
                layer.grads[key] = array(rng, *tensor.shape)
                tensor.grad = torch.tensor(to_cpu(layer.grads[key]).copy())
        ours.step(model)
        theirs.step()
    for layer, pair in zip(model.layers, tensors, strict=True):
        for p, tensor in zip(layer.params.values(), pair, strict=True):
            assert_close(p, tensor.detach().numpy(), 1e-10)


def test_the_state_of_groups_is_by_layer_and_goes_back_to_its_group(rng):
    model = dense_layers(rng, layers=2)
    one = ParamGroups({"fc0": SGD(0.1, momentum=0.9), "": Adam(0.1)})
    one.step(model)
    assert sorted(one.state) == ["fc0/W", "fc0/b", "fc1/W", "fc1/b"]
    two = ParamGroups({"fc0": SGD(0.1, momentum=0.9), "": Adam(0.1)})
    two.state = one.state
    assert [sorted(group.state) for group in two.param_groups] == [["fc0/W", "fc0/b"],
                                                                   ["fc1/W", "fc1/b"]]
    assert two.param_groups[1].state["fc1/W"]["t"] == 1
    assert two.to("cpu") is two
    assert device_of(two.state["fc0/W"]["v"]) == "cpu"


def test_an_optimizer_is_its_only_group():
    optimizer = Adam(0.1)
    assert optimizer.param_groups == [optimizer]


@pytest.mark.parametrize("groups, words", [
    ({"fc0": SGD(0.1)}, ["optimizer for fc1", '""']),
    ({"block5": SGD(0.1), "": SGD(0.1)}, ["'block5'", "unfreeze"])])
def test_groups_that_miss_a_layer_or_have_none_are_refused_before_a_step(groups, words, rng):
    model = dense_layers(rng, layers=2)
    before = to_cpu(model.layers[0].params["W"]).copy()
    with assert_refused("ParamGroups", *words):
        ParamGroups(groups).step(model)
    assert_same(model.layers[0].params["W"], before)


def test_a_frozen_layer_needs_no_group(rng):
    model = dense_layers(rng, layers=2)
    model.layers[0].trainable = False
    frozen, moving = (to_cpu(layer.params["W"]).copy() for layer in model.layers)
    ParamGroups({"fc1": SGD(0.1)}).step(model)
    assert_same(model.layers[0].params["W"], frozen)
    assert (to_cpu(model.layers[1].params["W"]) != moving).any()


def test_one_optimizer_for_two_groups_is_refused():
    adam = Adam(0.1)
    with assert_refused("ParamGroups", "different optimizer"):
        ParamGroups({"dense": adam, "": adam})


@pytest.mark.parametrize("wrong", ["adam", None, Adam], ids=str)
def test_a_group_without_an_optimizer_is_refused(wrong):
    with assert_refused("ParamGroups", "''"):
        ParamGroups({"": wrong})


def test_no_group_moves_if_another_cannot(rng):
    model = mc.Sequential([mc.Dense(3, name="a"), mc.Dense(2, name="b")], (4,))
    model.backward(model.forward(rng.normal(size=(5, 4))))
    del model["b"].grads["W"]
    before = model["a"].params["W"].copy()
    with assert_refused("b", "gradient of W"):
        ParamGroups({"a": SGD(0.1), "b": SGD(0.1)}).step(model)
    assert (model["a"].params["W"] == before).all()

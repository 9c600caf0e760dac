"""The true VGG16 through our CUDA kernels: NumPy's numbers and PyTorch's. On the simulated GPU, or
where --devices says."""

import pytest
import torch
from makers import clothes
from reference import assert_close
from torch.nn import functional as F

import minicnn as mc
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.cuda import simulator
from minicnn.training import fuse

pytestmark = pytest.mark.on_devices("cuda-sim")
SIZE = 32


@pytest.fixture(autouse=True)
def each_launch_once(device, monkeypatch):
    monkeypatch.setattr(simulator, "runs", 1)


@pytest.fixture(scope="module")
def photos():
    """Six photos of two classes at 32 pixels, as VGG16 sees them, and their labels."""
    data = clothes(per_class=3)
    recipe = mc.VGG16(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3)).preprocessing
    return recipe(data.images(range(6), (SIZE, SIZE), 1.0)), data.labels


def transfer_model():
    """VGG16 frozen up to block4_pool, block 5 trainable, a head of one sigmoid output."""
    model = mc.VGG16(include_top=False, input_shape=(SIZE, SIZE, 3))
    model.freeze(until="block4_pool")
    return model.replace_head([mc.Dense(1), mc.Sigmoid()], seed=3)


def torch_forward(x, params):
    """The 13 convolutions with their poolings, in PyTorch's words."""
    x = x.permute(0, 3, 1, 2)
    for k, (W, b) in enumerate(params, 1):
        x = F.relu(F.conv2d(x, W.permute(3, 2, 0, 1), b, padding=1))
        if k in (2, 4, 7, 10, 13):
            x = F.max_pool2d(x, 2)
    return x.permute(0, 2, 3, 1)


def tensors(model):
    """[(W, b), …] of the layers that have them."""
    return [tuple(torch.tensor(mc.to_cpu(p)) for p in layer.params.values())
            for layer in model.layers if layer.params]


@pytest.mark.parametrize("algorithm", ["im2col", "implicit_gemm"])
def test_vgg16s_base_on_the_kernels_is_numpys_and_pytorchs(algorithm, photos, device):
    model = mc.VGG16(include_top=False, input_shape=(SIZE, SIZE, 3))
    x, expected = photos[0][:2], model.forward(photos[0][:2])
    with use_algorithm(algorithm):
        y = model.to(device).forward(mc.to_device(x, device))
    assert_close(y, expected, rtol=1e-5)
    assert_close(y, torch_forward(torch.tensor(x), tensors(model)).numpy(), rtol=1e-5)


def trained(device, photos, steps=3):
    """(weights after some steps of Adam, the losses on the way)."""
    x, t = photos
    model = transfer_model().to(device)
    layers, loss = fuse(model.layers, mc.losses.BinaryCrossEntropy())
    network, optimizer, seen = model.view(layers, model.input_shape), mc.optimizers.Adam(1e-4), []
    for _ in range(steps):
        seen.append(loss.forward(network.forward(mc.to_device(x, device), training=True), t))
        network.backward(loss.backward(), input_gradient=False)
        optimizer.step(network)
    return {layer.name: {key: mc.to_cpu(p) for key, p in layer.params.items()}
            for layer in model.layers if layer.params}, seen


def torch_trained(photos, steps=3):
    """The same steps by PyTorch: the parameters in the order of the layers, and the losses."""
    x, t = photos
    model = transfer_model()
    params = [p for pair in tensors(model) for p in pair]
    for p in params[20:]:  # ten convolutions stay frozen
        p.requires_grad_()
    optimizer, seen = torch.optim.Adam(params[20:], 1e-4), []
    for _ in range(steps):
        pairs = list(zip(params[:26:2], params[1:26:2], strict=True))
        z = torch_forward(torch.tensor(x), pairs).flatten(1) @ params[26] + params[27]
        loss = F.binary_cross_entropy_with_logits(z[:, 0], torch.tensor(t, dtype=z.dtype))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return [p.detach().numpy() for p in params], seen


def test_transfer_learning_with_block_5_on_the_kernels_is_numpys_and_pytorchs(photos, device):
    start = {layer.name: {key: p.copy() for key, p in layer.params.items()}
             for layer in transfer_model().layers if layer.params}
    weights, losses = trained(device, photos)
    expected, expected_losses = trained("cpu", photos)
    theirs, their_losses = torch_trained(photos)
    assert losses[-1] < 0.9 * losses[0]  # it learns
    assert_close(losses, expected_losses, rtol=1e-4)
    assert_close(losses, their_losses, rtol=1e-4)
    ours = [p for layer in weights.values() for p in layer.values()]
    for p, their in zip(ours, theirs, strict=True):
        assert_close(p, their, rtol=1e-3)
    for name, layer in weights.items():
        moved = name >= "block5" or name.startswith("dense")
        for key, p in layer.items():
            assert_close(p, expected[name][key], rtol=1e-3)
            assert (p == start[name][key]).all() == (not moved)

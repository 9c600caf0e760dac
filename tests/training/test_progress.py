"""fit's live line: where it is shown without being asked for, and how it is silenced."""

import io
import os
import sys

import numpy as np
import pytest
from makers import classifier

import minicnn as mc
from minicnn.losses import CategoricalCrossEntropy
from minicnn.optimizers import SGD
from minicnn.training import HeldOut, ProgressBar, fit
from minicnn.utils.live_line import LiveLine


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def data(N=10):
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 9, 9, 3)).astype(np.float32), np.arange(N) % 3


def train(*callbacks, frozen=False, **options):
    model = classifier(shape=(9, 9, 3), preprocessing=None)
    if frozen:
        model.freeze("conv2d")
    return fit(model, data(), CategoricalCrossEntropy(), SGD(0.05), epochs=2, batch_size=4,
               callbacks=callbacks, **options)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(LiveLine, "stream", stream := Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    yield stream
    assert LiveLine.shown is None


def frames(terminal):
    return [part for part in terminal.getvalue().split("\r") if part.strip()]


def test_a_terminal_shows_features_and_epochs_and_nothing_stays(terminal):
    history = train(HeldOut(data(4)), frozen=True)
    shown = frames(terminal)
    for number, text in enumerate(("features ▇", "held-out features ▇", "epoch 2/2 ▇")):
        assert any(frame.startswith(text) for frame in shown), (number, shown)
    assert shown[-1].rstrip().endswith(f"▇  loss {history['loss'][-1]:.3f}  held-out "
                                       f"{100 * history['held_out_accuracy'][-1]:.1f} %")
    assert not terminal.getvalue().split("\r")[-2].strip()


def test_the_line_names_the_photos_that_its_accuracy_is_of(terminal):
    train()
    assert "accuracy" in frames(terminal)[-1]
    train(validation_data=data(4))
    assert "validation" in frames(terminal)[-1]


def test_a_bar_of_one_s_own_has_a_title_or_is_silent(terminal):
    train(ProgressBar(enabled=False))
    assert terminal.getvalue() == ""
    with ProgressBar("lab", epochs=9) as bar:
        train(bar)
    assert frames(terminal)[-1].startswith("lab  epoch 2/9 ")


def test_it_makes_room_for_what_a_callback_prints(terminal):
    class Printer(mc.Callback):
        def on_epoch_end(self, state):
            assert not terminal.getvalue().split("\r")[-2].strip()
            terminal.write(f"epoch {state.epoch}\n")

    train(Printer())
    assert terminal.getvalue().count("\repoch 1\n") == 1


def test_after_an_error_nothing_stays(terminal):
    class Failing(mc.Callback):
        def on_epoch_end(self, state):
            raise ValueError

    with pytest.raises(ValueError):
        train(Failing())
    assert not terminal.getvalue().split("\r")[-2].strip()


def test_it_says_nothing_if_nobody_looks(capsys):
    train(ProgressBar())
    train()
    assert capsys.readouterr() == ("", "")


CELL = """
import numpy as np
import minicnn as mc
from minicnn.training import HeldOut, ProgressBar
x, t = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype("float32"), np.arange(8) % 2
def train(*callbacks):
    model = mc.Sequential([mc.Flatten(), mc.Dense(2), mc.Softmax()], (4, 4, 3))
    return mc.fit(model, (x, t), mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.01),
                  epochs=3, callbacks=[HeldOut((x, t)), *callbacks])
for _ in range(2):
    train()
"""


@pytest.fixture(scope="module")
def kernel():
    pytest.importorskip("ipykernel")
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel(env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def outputs(kernel, code):
    """The messages of the outputs of a cell: (kind, content)."""
    messages = []
    reply = kernel.execute_interactive(
        code, timeout=120, store_history=True,
        output_hook=lambda message: messages.append((message["msg_type"], message["content"])))
    assert reply["content"]["status"] == "ok", reply["content"]
    return [(kind, content) for kind, content in messages
            if kind in ("stream", "display_data", "update_display_data", "error")]


def test_a_notebook_has_one_output_a_cell_which_ends_with_the_last_figures(kernel):
    said = outputs(kernel, CELL)
    assert said[0][0] == "display_data"
    assert {kind for kind, _ in said[1:]} == {"update_display_data"}
    assert len({content["transient"]["display_id"] for _, content in said}) == 1
    texts = [content["data"]["text/plain"] for _, content in said]
    assert any("epoch 3/3 ▇" in text for text in texts)
    assert texts[-1].startswith("3 epochs, loss ") and "held-out" in texts[-1]


def test_a_notebook_s_bar_can_be_silenced(kernel):
    assert outputs(kernel, "train(ProgressBar(enabled=False));") == []

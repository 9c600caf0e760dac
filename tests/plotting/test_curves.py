"""The curves of a training: both networks, and the epoch whose weights were kept."""

from minicnn.plotting.curves import curves_figure

HISTORY = {"loss": [3.0, 2, 1], "accuracy": [0.5, 0.7, 0.9], "val_loss": [3.1, 2.2, 2.4],
           "val_accuracy": [0.4, 0.6, 0.55]}
SCRATCH = {"loss": [4.0, 3], "accuracy": [0.3, 0.4], "val_loss": [4.2, 3.9],
           "val_accuracy": [0.2, 0.25]}


def lines(ax):
    """{label: y values}."""
    return {line.get_label(): list(line.get_ydata()) for line in ax.lines
            if not line.get_label().startswith("_")}


def test_the_network_from_scratch_is_drawn_with_its_own_number_of_epochs():
    loss, accuracy = curves_figure(HISTORY, "held-out", scratch=SCRATCH).axes
    assert lines(loss) == {"training": [3, 2, 1], "held-out": [3.1, 2.2, 2.4],
                           "held-out, from scratch": [4.2, 3.9]}
    assert lines(accuracy)["held-out, from scratch"] == [0.2, 0.25]
    assert "from scratch" not in str(lines(curves_figure(HISTORY).axes[0]))


def test_the_best_epoch_is_marked_on_the_curve_that_chose_it():
    loss, accuracy = curves_figure(HISTORY, best=2).axes
    assert lines(loss)["best epoch: 2"] == [2.2] and lines(accuracy)["best epoch: 2"] == [0.6]
    assert not any("best" in label for label in lines(curves_figure(HISTORY).axes[0]))


def test_held_out_photos_are_called_as_the_history_calls_them():
    renamed = {key.replace("val_", "held_out_"): values for key, values in HISTORY.items()}
    assert set(lines(curves_figure(renamed).axes[0])) == {"training", "held-out"}
    assert set(lines(curves_figure(HISTORY).axes[0])) == {"training", "validation"}

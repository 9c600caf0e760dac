"""What fit returns: the figures of each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..plotting.curves import curves_figure
from ..plotting.drawing import HasFigure, inline, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History(HasFigure, dict[str, list[float]]):
    """{"loss": […], "accuracy": […]}, an entry per epoch, and with validation data "val_loss" and
    "val_accuracy", with HeldOut "held_out_loss" and "held_out_accuracy".

    In Jupyter it shows its curves and its table.
    """

    def figure(self) -> Figure:
        """Loss and accuracy by epoch."""
        return curves_figure(self)

    def with_held_out_names(self) -> History:
        """The same, val_… called held_out_…: until 0.2 both were called val_…."""
        return History({key.replace("val_", "held_out_", key.startswith("val_")): values
                        for key, values in self.items()})

    def _repr_html_(self) -> str:
        # Jupyter shows the HTML alone even if there is a PNG, so the curves are part of it.
        rows = "".join(f"<tr><td>{epoch}" + "".join(f"<td>{value:.4f}" for value in values)
                       for epoch, values in enumerate(zip(*self.values(), strict=True), 1))
        return (f"{inline(png(self.figure())) if rows else ''}<details><summary>"
                f"{len(self.get('loss', []))} epochs</summary><table><tr><th>"
                f"{'<th>'.join(['epoch', *self])}{rows}</table></details>")

"""What the tests of figures share."""

import pytest

from minicnn.plotting import drawing


@pytest.fixture
def drawn(monkeypatch):
    """Figures that were drawn, still open to be asked."""
    figures, png = [], drawing.png
    monkeypatch.setattr(drawing, "png", lambda figure: figures.append(figure) or png(figure))
    return figures

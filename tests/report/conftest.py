"""What the tests of figures share."""

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def drawn(monkeypatch):
    """Figures that were saved, still open to be asked."""
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig",
                        lambda self, *rest: figures.append(self) or save(self, *rest))
    return figures

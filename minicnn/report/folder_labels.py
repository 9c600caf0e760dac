"""Photos of a folder whose label may be wrong, as a finding of its page."""

from __future__ import annotations

from ..data import Dataset
from ..data.open_image import printable
from ..evaluation import Evaluation
from ..plotting.drawing import percent_text
from ..utils.language import gettext as _
from ..utils.language import ngettext
from .folder_findings import Finding
from .run_labels import SURE, doubtful_labels


def label_finding(data: Dataset, checked: list[int], result: Evaluation) -> Finding | None:
    """The finding; None if no label is doubted.

    checked: the indices of the photos that were predicted. result: their predictions, each by a
    network that has not seen the photo (training.check_labels).
    """
    doubtful = doubtful_labels(result)
    if not doubtful:
        return None
    lines = []
    for k in doubtful:
        p = result.probabilities[k]
        lines.append(_("{photo}: label {label}, the network says {share} {answer}",
                       photo=printable(data.names[checked[k]]),
                       label=result.classes[result.labels[k]],
                       share=percent_text(float(p.max())), answer=result.classes[p.argmax()]))
    return Finding(
        ngettext("{num} photo may have a wrong label", "{num} photos may have a wrong label",
                 len(doubtful)),
        _("A network that has not seen the photo is at least {sure:.0f} % sure of another class. "
          "Either of the two is wrong: look. To correct a label, move the photo to the right class "
          "folder.", sure=100 * SURE),
        [[checked[k]] for k in doubtful], lines, serious=False)

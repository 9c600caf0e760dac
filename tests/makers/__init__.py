"""What the tests build again and again, by topic; `from makers import …` has all of it."""

from .commands import (
    assert_command_refused,
    before_saving,
    images_of,
    page_of,
    picture_of,
    read_csv,
    run_command,
)
from .files import (
    contents,
    files_of_at_most,
    photo_folder,
    striped_folder,
    write_dataset,
    write_photos,
    zipped,
)
from .images import (
    clothes,
    grey_images,
    grey_values,
    labelled_noise,
    random_batch,
    random_pixels,
    simulated,
)
from .networks import (
    CENTRED_PIXELS,
    UNIT_PIXELS,
    Function,
    classifier,
    in_float64,
    two_blocks,
    two_convolutions,
    weights,
)
from .ranks import (
    mpiexec,
    run_ranks,
    sentences,
    start_ranks,
)

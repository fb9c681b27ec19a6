"""Which frames belong together: templates, exposures, datasets. Pure.

Which calibration belongs to which exposure is found in `shelf`.
"""

from collections import defaultdict
from collections.abc import Sequence

from pipeline.model import Dataset, Frame, Night, Template
from pipeline.tags import Kind

TEMPLATE_TAGS = ("BIAS", "DARK", "FLAT", "ARC", "ARC_LSF", "SKYFLAT")
"""Tags of calibration frames that a recipe takes a template at a time."""

EXPOSURE_TAGS = ("OBJECT", "SKY", "STD")
"""Tags of frames that are reduced one by one."""


def group(frames: Sequence[Frame]) -> Night:
    """Sort frames into templates, exposures, datasets and static calibrations.

    Parameters
    ----------
    frames : sequence of Frame
        In any order.

    Returns
    -------
    Night
        Everything by time, then name: the order of the input leaves no trace.
    """
    ordered = sorted(frames, key=lambda f: (f.mjd or 0.0, f.tag, f.arcfile, str(f.path)))
    templates: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    datasets: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    for frame in ordered:
        if frame.tag in TEMPLATE_TAGS:
            key = (frame.tag, frame.template, frame.mode, frame.readout, frame.binning)
            templates[key].append(frame)
        elif frame.tag == "OBJECT":
            datasets[frame.target, frame.block, frame.mode].append(frame)
    return Night(
        templates=tuple(Template(key[0], key[1], tuple(group)) for key, group in sorted(templates.items())),
        exposures=tuple(f for f in ordered if f.tag in EXPOSURE_TAGS),
        illums=tuple(f for f in ordered if f.tag == "ILLUM"),
        statics=tuple(f for f in ordered if f.kind is Kind.STATIC),
        datasets=tuple(Dataset(key[0], key[1], tuple(group)) for key, group in sorted(datasets.items())),
    )

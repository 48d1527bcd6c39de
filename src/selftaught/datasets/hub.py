"""Data sets of the hub, through the `datasets` library of the extra [hub]."""

from __future__ import annotations

from typing import Any

import numpy as np

from selftaught.datasets.arrays import examples_from_arrays
from selftaught.datasets.frames import to_polars
from selftaught.datasets.reading import listed, reading
from selftaught.datasets.tables import TableOptions, examples_from_frame
from selftaught.datasets.targets import find_target
from selftaught.errors import DataError, InputError, MissingExtraError
from selftaught.examples import Examples

__all__ = ["HUB_PREFIX", "read_hub"]

HUB_PREFIX = "hub:"


def read_hub(source: str, options: TableOptions, *, split: str = "train") -> Examples:
    """Read `hub:owner/name`: an image set when it has a column of images, else a table.

    Nothing of the data set's own code is run.

    Raises:
        InputError: the name is not hub:owner/name.
        MissingExtraError: the extra [hub] is not installed.
        DataError: the set cannot be fetched, or does not fit.
    """
    name = source.removeprefix(HUB_PREFIX)
    if name.count("/") != 1 or not all(name.split("/")):
        raise InputError(f"a hub data set is named hub:owner/name, got {source!r}")
    try:
        import datasets as library
    except ImportError:
        raise MissingExtraError("datasets", "hub", f"loading {source}") from None
    with reading(source, "hub data set"):
        rows: Any = library.load_dataset(name, split=split)
        columns = [str(column) for column in rows.column_names]
        features: dict[str, Any] = dict(rows.features)
    target = find_target(columns, options.target, what=source)
    names = getattr(features.get(target), "names", None)
    classes = tuple(str(label) for label in names) if names else None
    pictures = [column for column in columns if type(features.get(column)).__name__ == "Image"]
    if not pictures:
        with reading(source, "hub data set"):
            frame = rows.to_pandas()
        return examples_from_frame(
            to_polars(frame), TableOptions(**{**vars(options), "target": target}), name=name, class_names=classes
        )
    if len(pictures) > 1:
        raise DataError(f"{source} must have one column of images, but has {listed(pictures)}")
    with reading(source, "hub data set"):
        images = [np.asarray(picture) for picture in rows[pictures[0]]]
        labels = np.asarray(rows[target])
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise DataError(f"{source}: images must have one shape, but have {len(shapes)}, such as {sorted(shapes)[:3]}")
    return examples_from_arrays(np.stack(images), labels, name=name, task=options.task, class_names=classes)

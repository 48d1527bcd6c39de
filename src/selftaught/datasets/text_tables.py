"""Read .csv and .tsv files, packed with gzip or not, into a polars frame."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from selftaught.datasets.reading import file_bytes, gunzip, listed, one_line, reading
from selftaught.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MISSING_TEXTS", "check_names", "read_text_table"]

_DATE = r"^\d{4}-\d\d-\d\d$"
_TIME = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?Z?$"
MISSING_TEXTS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?")


def check_names(names: list[str], *, what: str) -> None:
    """Check that every column has a name of its own.

    Raises:
        DataError: there are no columns, or a name occurs twice.
    """
    if not names:
        raise DataError(f"{what} has no columns")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(
                f"{what} has two columns named {one_line(name, limit=60)!r}; rename one "
                "(the first line of a file must hold the column names)"
            )
        seen.add(name)


def read_text_table(path: Path, *, separator: str) -> pl.DataFrame:
    """Read a text table with a header line, UTF-8, quoted as in RFC 4180; `MISSING_TEXTS` become null.

    Columns of ISO 8601 dates (2024-03-31, also with a time: 2024-03-31T18:05) become dates; other ways to write dates
    are ambiguous and stay text.

    Args:
        path: the file; a name ending in .gz is unpacked.
        separator: "," or a tab.

    Raises:
        DataError: empty, not text, not UTF-8, a line with too many or too few fields, no data lines.
    """
    import polars as pl

    data = file_bytes(path)
    if path.suffix.lower() == ".gz":
        data = gunzip(data, path)
    text = _decode(data, path)
    header, rows = _check_lines(text, separator, path)
    try:
        with reading(path, "text table"):
            frame = pl.read_csv(
                text.encode(),
                separator=separator,
                null_values=list(MISSING_TEXTS),
                infer_schema_length=None,
                encoding="utf8",
            )
    except pl.exceptions.PanicException as error:  # a BaseException: polars' own code failed
        raise DataError(f"{path} is not a readable text table: {one_line(error)}") from error
    if frame.height != rows or frame.width != len(header):
        raise DataError(
            f"{path} must have {rows} rows of {len(header)} fields by its line breaks and quotes, but "
            f"reads as {frame.height} "
            f"rows of {frame.width}; quote fields as in RFC 4180"
        )
    frame.columns = header
    return frame.with_columns([_dates(column) for column in frame.iter_columns() if column.dtype == pl.String])


def _dates(column: pl.Series) -> pl.Series:
    """Return a column of text as dates where every value is one, else as it is."""
    import polars as pl

    present = column.drop_nulls()
    for pattern, kind in ((_DATE, pl.Date), (_TIME, pl.Datetime("us"))):
        if len(present) and present.str.contains(pattern).all():
            plain = column.str.strip_chars_end("Z").str.replace(" ", "T")
            parsed = plain.str.to_date(strict=False) if kind == pl.Date else _times(plain)
            if parsed.null_count() == column.null_count():  # 2024-02-31 has the form of a date and is none
                return parsed
    return column


def _times(text: pl.Series) -> pl.Series:
    import polars as pl

    whole = text.str.replace(r"(T\d\d:\d\d)$", "${1}:00")
    return whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False).cast(pl.Datetime("us"))


def _decode(data: bytes, path: Path) -> str:
    if b"\0" in data:
        place = data[: data.index(b"\0")].count(b"\n") + 1
        raise DataError(
            f"{path} is not a text table: line {place} holds a zero byte (a binary or UTF-16 file?); save it as UTF-8"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = data[: error.start].count(b"\n") + 1
        byte = data[error.start]
        raise DataError(f"{path} is not UTF-8: byte 0x{byte:02x} in line {place}; save it as UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    if not text.strip():
        raise DataError(f"{path} is empty: it must hold a header line and data lines")
    return text + "\n"


def _check_lines(text: str, separator: str, path: Path) -> tuple[list[str], int]:
    """Return the header and the number of data lines; every line must have as many fields as the header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = 0
    try:
        header = [name.strip() for name in next(reader)]
        check_names(header, what=str(path))
        for fields in reader:
            if len(fields) != len(header):
                line = reader.line_num
                found = "is empty" if not fields else f"has {len(fields)} fields"
                raise DataError(
                    f"{path} is ragged: line {line} {found}, the header has {len(header)} ({listed(header, limit=6)})"
                )
            rows += 1
    except csv.Error as error:
        raise DataError(f"{path} is not a readable text table: line {reader.line_num}: {one_line(error)}") from None
    if not rows:
        raise DataError(f"{path} has a header line but no data lines")
    return header, rows

"""Studies and their trials as two tables, written in batches (SQLAlchemy Core)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from selftaught.errors import InputError
from selftaught.trial import Score, Trial

__all__ = ["Store", "open_store"]

_METADATA = sa.MetaData()
_STUDIES = sa.Table(
    "studies",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
)
_TRIALS = sa.Table(
    "trials",
    _METADATA,
    sa.Column("study", sa.Integer, sa.ForeignKey("studies.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("parent", sa.Integer),
    sa.Column("candidate", sa.Text, nullable=False),
    sa.Column("score", sa.Float),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("cost", sa.Float, nullable=False),
    sa.Column("error", sa.Text),
)


def open_store(url: str) -> Store:
    """Open a database by its URL, or a SQLite file by its path, and make the tables where they are missing.

    Raises:
        InputError: the URL cannot be read or the database cannot be opened; one line.

    >>> open_store("sqlite://").studies()
    []
    """
    text = url if "://" in url else f"sqlite:///{Path(url).expanduser()}"
    try:
        engine = sa.create_engine(text)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _sqlite_pragmas)
        _METADATA.create_all(engine)
    except (sa.exc.SQLAlchemyError, ModuleNotFoundError, ValueError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise InputError(
            f"the store {url!r} cannot be opened ({reason[:120]}); give a URL such as sqlite:///trials.db"
        ) from None
    return Store(engine)


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=10000")


class Store:
    """A database of studies, each a list of trials told by number; close it after use, or use it in a `with`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def study(self, name: str, settings: Any = None) -> int:
        """Return the id of a study, made where it is missing with the settings given (JSON)."""
        find = sa.select(_STUDIES.c.id).where(_STUDIES.c.name == name)
        with self._engine.begin() as connection:
            found = connection.execute(find).scalar()
            if found is None:
                row = {
                    "name": name,
                    "settings": json.dumps(settings),
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                }
                connection.execute(sa.insert(_STUDIES).values(row))
                found = connection.execute(find).scalar_one()
        return int(found)

    def studies(self) -> list[str]:
        """Return the names of all studies, oldest first."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(_STUDIES.c.name).order_by(_STUDIES.c.id)).scalars())

    def tell(self, study: int, trials: Iterable[Trial]) -> None:
        """Write a batch of trials in one transaction; a number told before is replaced."""
        rows = [
            {
                "study": study, "number": trial.number, "parent": trial.parent,
                "candidate": trial.candidate if isinstance(trial.candidate, str) else json.dumps(trial.candidate),
                "score": trial.score.value if trial.score else None,
                "metrics": json.dumps(dict(trial.score.metrics) if trial.score else {}),
                "cost": trial.cost, "error": trial.error,
            }
            for trial in trials
        ]  # fmt: skip
        if not rows:
            return
        numbers = [row["number"] for row in rows]
        with self._engine.begin() as connection:
            for start in range(0, len(numbers), 500):
                told = _TRIALS.c.number.in_(numbers[start : start + 500])
                connection.execute(sa.delete(_TRIALS).where(_TRIALS.c.study == study, told))
            connection.execute(sa.insert(_TRIALS), rows)

    def forget(self, study: int, *, after: int = -1) -> None:
        """Delete the trials of a study with numbers above `after`."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_TRIALS).where(_TRIALS.c.study == study, _TRIALS.c.number > after))

    def trials(self, study: int) -> list[Trial]:
        """Return the trials of a study in the order of their numbers."""
        query = sa.select(_TRIALS).where(_TRIALS.c.study == study).order_by(_TRIALS.c.number)
        with self._engine.connect() as connection:
            return [
                Trial(
                    number=row.number, candidate=row.candidate, parent=row.parent, cost=row.cost, error=row.error,
                    score=None if row.score is None else Score(row.score, json.loads(row.metrics)),
                )
                for row in connection.execute(query)
            ]  # fmt: skip

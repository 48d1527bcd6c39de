"""Studies and their trials as two tables, written in batches (SQLAlchemy Core)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from selftaught.errors import InputError, ResumeError
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
    sa.Column("told", sa.Integer),  # counts the study's trials in the order in which they ended
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
        _add_missing_columns(engine)
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


def _add_missing_columns(engine: Engine) -> None:
    """Bring a database of an earlier version up to date; its trials count as told in the order of their numbers."""
    if "told" not in {column["name"] for column in sa.inspect(engine).get_columns("trials")}:
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE trials ADD COLUMN told INTEGER"))
            connection.execute(sa.update(_TRIALS).values(told=_TRIALS.c.number))


class Store:
    """A database of studies, each a list of trials told by number; close it after use, or use it in a `with`.

    A trial is in it once it has ended, whole or not at all, and there is no other state: what was at work when a
    machine stopped was never written, so nothing is left half-done.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = sa.insert(_TRIALS)
        self._counts: dict[int, int] = {}  # study -> the next place in the order of ending

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

    def settings(self, study: int) -> Any:
        """Return the settings that a study was made with."""
        with self._engine.connect() as connection:
            text = connection.execute(sa.select(_STUDIES.c.settings).where(_STUDIES.c.id == study)).scalar_one()
        return json.loads(text)

    def studies(self) -> list[str]:
        """Return the names of all studies, oldest first."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(_STUDIES.c.name).order_by(_STUDIES.c.id)).scalars())

    def add(self, study: int, trials: Iterable[Trial]) -> None:
        """Write trials in one transaction, each told once.

        Raises:
            ResumeError: a number was told before, so another process is at work on the study.
        """
        rows = self._rows(study, trials)
        if not rows:
            return
        try:
            with self._engine.begin() as connection:
                connection.execute(self._insert, rows)
        except sa.exc.IntegrityError:
            self._counts.pop(study, None)
            numbers = ", ".join(str(row["number"]) for row in rows[:5])
            raise ResumeError(
                f"the study already has a trial numbered {numbers}; another process may be writing it: let one process "
                "run a study, with several workers"
            ) from None

    def tell(self, study: int, trials: Iterable[Trial]) -> None:
        """Write a batch of trials in one transaction; a number told before is replaced."""
        rows = self._rows(study, trials)
        if not rows:
            return
        numbers = [row["number"] for row in rows]
        with self._engine.begin() as connection:
            for start in range(0, len(numbers), 500):
                told = _TRIALS.c.number.in_(numbers[start : start + 500])
                connection.execute(sa.delete(_TRIALS).where(_TRIALS.c.study == study, told))
            connection.execute(self._insert, rows)

    def _rows(self, study: int, trials: Iterable[Trial]) -> list[dict[str, Any]]:
        """Return trials as rows, each with its place in the order of ending."""
        listed: Sequence[Trial] = list(trials)
        if not listed:
            return []
        if study not in self._counts:
            query = sa.select(sa.func.max(_TRIALS.c.told)).where(_TRIALS.c.study == study)
            with self._engine.connect() as connection:
                last = connection.execute(query).scalar()
            self._counts[study] = -1 if last is None else int(last)
        first = self._counts[study] + 1
        self._counts[study] += len(listed)
        return [
            {
                "study": study, "number": trial.number, "parent": trial.parent, "told": told,
                "candidate": trial.candidate if isinstance(trial.candidate, str) else json.dumps(trial.candidate),
                "score": trial.score.value if trial.score else None,
                "metrics": json.dumps(dict(trial.score.metrics)) if trial.score and trial.score.metrics else "{}",
                "cost": trial.cost, "error": trial.error,
            }
            for told, trial in enumerate(listed, first)
        ]  # fmt: skip

    def forget(self, study: int, *, after: int = -1) -> None:
        """Delete the trials of a study with numbers above `after`."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_TRIALS).where(_TRIALS.c.study == study, _TRIALS.c.number > after))

    def trials(self, study: int, *, order: Literal["number", "told"] = "number") -> list[Trial]:
        """Return the trials of a study in the order of their numbers, or of their ending. Candidates are text."""
        columns = (_TRIALS.c.told, _TRIALS.c.number) if order == "told" else (_TRIALS.c.number,)
        query = sa.select(_TRIALS).where(_TRIALS.c.study == study).order_by(*columns)
        with self._engine.connect() as connection:
            return [
                Trial(
                    number=row.number, candidate=row.candidate, parent=row.parent, cost=row.cost, error=row.error,
                    score=None if row.score is None else Score(row.score, json.loads(row.metrics)),
                )
                for row in connection.execute(query)
            ]  # fmt: skip

"""Where rows come from: CSV, JSON, JSONL, Parquet, Arrow, SQL, data sets of the hub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resift import files
from resift.errors import InputError, MissingExtra
from resift.files.csv_tables import read_rows
from resift.files.encoding import kind
from resift.files.formats import blamed_on

_BATCH = 1024  # rows of Parquet that are held at once
_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather")
_DATABASES = (".db", ".sqlite", ".sqlite3")

PlacedRow = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that can be read once, each with its place for messages."""

    name: str
    rows: Iterable[PlacedRow]


def open_rows(data: str, split: str | None = None, subset: str | None = None, sql: str | None = None) -> Rows:
    """The rows of a file, a folder of files, a database or a data set of the hub.

    Args:
        data: a path, the URL of a database (SQLAlchemy), or the name of a data set of the hub.
        split: of a data set or a folder; "train" where none is named.
        subset: of a data set of the hub, which calls it a configuration.
        sql: a query or the name of a table, for a database.

    Raises:
        InputError: nothing of that name, or of an unknown format.
        MissingExtra: the library for this format is not installed.

    """
    if "://" in data:
        return Rows(data.partition("?")[0].rsplit("/", 1)[-1] or data, _of_database(data, sql))
    if sql is not None:
        raise InputError(f"--sql is for a database, and {data} is none; give its URL, such as sqlite:///{data}")
    path = Path(data)
    if path.is_file():
        if split is not None or subset is not None:
            raise InputError(f"{data} is one file, without splits or subsets; leave --split and --subset out")
        return Rows(path.name, _of_file(path))
    if path.is_dir():
        return Rows(path.resolve().name, _of_folder(path, split, subset))
    if data.startswith(("/", ".", "~")) or data.count("/") > 1 or path.suffix.lower() in (*_TABLES, *_DATABASES):
        raise InputError(f"no such file: {data}; give a file, a folder, a database's URL, or a data set of the hub")
    return Rows(data, _of_hub(data, split, subset))


def _of_file(path: Path) -> Iterator[PlacedRow]:
    suffix = kind(path)
    if suffix in _DATABASES:
        raise InputError(f"{path} is a database; give its URL, sqlite:///{path}, and a table or a query with --sql")
    if suffix in (".parquet", ".arrow", ".feather"):
        yield from _of_arrow(path, suffix)
        return
    with blamed_on(path):
        if suffix in (".csv", ".tsv"):
            for number, cells in read_rows(path):
                yield f"{path}:{number}", cells
        elif suffix == ".json":
            yield from _of_json(path)
        elif suffix in (".jsonl", ".ndjson", ""):
            yield from _of_lines(path)
        else:
            raise InputError(f"{path} is no table; a table's name ends in {', '.join(_TABLES)}")


def _of_lines(path: Path) -> Iterator[PlacedRow]:
    with files.open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{path}:{number}"
                yield where, _object(_parsed(line, where), where)


def _of_json(path: Path) -> Iterator[PlacedRow]:
    """The objects of a list, also below "data"; or columns, which are lists of one length; or JSONL after all."""
    with files.open_text(path) as file:
        text = file.read()
    try:
        value = json.loads(text)
    except ValueError as error:
        first = text.lstrip().partition("\n")[0]
        if first.startswith("{") and "}" in first:
            yield from _of_lines(path)
            return
        raise InputError(f"{path} is not JSON ({error}); give a list of objects") from error
    if isinstance(value, dict):
        lists = {name: part for name, part in value.items() if isinstance(part, list)}
        if len(lists) == 1 and all(isinstance(part, dict) for part in next(iter(lists.values()))):
            value = next(iter(lists.values()))
        elif lists and len(lists) == len(value) and len({len(part) for part in lists.values()}) == 1:
            value = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    if not isinstance(value, list):
        raise InputError(f"{path} is an object; give a list of objects, one for each row")
    for number, row in enumerate(value, 1):
        yield f"{path}, row {number}", _object(row, f"{path}, row {number}")


def _parsed(line: str, where: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not a JSON value ({error}); JSONL has one object on each line") from error


def _object(value: Any, where: str) -> Mapping[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        raise InputError(f"{where}: no object; a row is an object with a field for each column")
    return value


def _of_arrow(path: Path, suffix: str) -> Iterator[PlacedRow]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra(f"reading {path}", "train") from error
    try:
        if suffix == ".parquet":
            with parquet.ParquetFile(path) as file:
                yield from _numbered(path, file.iter_batches(_BATCH))
        else:
            with arrow.memory_map(str(path)) as source:
                yield from _numbered(path, _record_batches(source))
    except (arrow.ArrowException, OSError) as error:
        raise InputError(f"can't read {path} as {suffix[1:]} ({error}); fetch or write it again") from error


def _record_batches(source: Any) -> Iterator[Any]:  # noqa: ANN401 - pyarrow ships no types
    """The batches of an Arrow file, or of an Arrow stream, as which data sets are saved."""
    from pyarrow import ipc, lib

    try:
        file = ipc.open_file(source)
    except lib.ArrowInvalid:
        source.seek(0)
        yield from ipc.open_stream(source)
        return
    for i in range(file.num_record_batches):
        yield file.get_batch(i)


def _numbered(path: Path, batches: Iterable[Any]) -> Iterator[PlacedRow]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield f"{path}, row {number}", row


def _of_folder(path: Path, split: str | None, subset: str | None) -> Iterator[PlacedRow]:
    """The rows of a data set that was saved to disk, or of the tables in a folder."""
    if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
        with _blaming(str(path)):
            import datasets

            value = datasets.load_from_disk(str(path))
        if isinstance(value, datasets.DatasetDict):
            value = value[_split_of(str(path), split, list(value))]
        yield from _of_dataset(str(path), value)
        return
    paths = sorted(p for p in path.rglob("*") if p.is_file() and kind(p) in _TABLES)
    wanted = [p for p in paths if split is None or p.name.split(".")[0].split("-")[0] == split]
    if subset is not None or not wanted:
        beside = f"; it has {', '.join(sorted({p.name for p in paths})[:10])}" if paths else ""
        what = "a subset" if subset is not None else "no table" if split is None else f"no table of the split {split!r}"
        raise InputError(
            f"{path} has {what}{beside}; give a data set saved to disk, a BEIR folder, or a folder of tables"
        )
    if split is None and len({p.name.split(".")[0].split("-")[0] for p in wanted}) > 1:
        names = ", ".join(sorted({p.name for p in wanted})[:10])
        raise InputError(f"{path} has several tables ({names}); name one, or the beginning of its name with --split")
    for table in wanted:
        yield from _of_file(table)


def _split_of(name: str, split: str | None, splits: list[str]) -> str:
    chosen = split or ("train" if "train" in splits else splits[0] if len(splits) == 1 else "")
    if chosen not in splits:
        raise InputError(f"{name} has no split {chosen or 'train'!r}; name one with --split: {', '.join(splits)}")
    return chosen


def _of_hub(name: str, split: str | None, subset: str | None) -> Iterator[PlacedRow]:
    with _blaming(name):
        import datasets

        splits = datasets.get_dataset_split_names(name, subset)
        value = datasets.load_dataset(name, subset, split=_split_of(name, split, splits))
    yield from _of_dataset(name, value)


def _of_dataset(name: str, value: Iterable[Mapping[str, Any]]) -> Iterator[PlacedRow]:
    for number, row in enumerate(value, 1):
        yield f"{name}, row {number}", row


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    """Turn what the library `datasets` raises into one sentence."""
    try:
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise MissingExtra(f"reading the data set {name}", "train") from error
    try:
        yield
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:  # HTTP errors are OSErrors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"can't load the data set {name} ({reason[:200]}); give a file, a folder, or owner/name of the hub"
        ) from error


def _of_database(url: str, sql: str | None) -> Iterator[PlacedRow]:
    if not sql:
        raise InputError("name the table of the database, or give a query, with --sql")
    try:
        import sqlalchemy
        from sqlalchemy import exc
    except ImportError as error:
        raise MissingExtra("reading a database", "train") from error
    try:
        address = sqlalchemy.make_url(url)
        file = address.database
        if address.get_backend_name() == "sqlite" and file not in (None, "", ":memory:") and not Path(file).is_file():
            raise InputError(f"no such database: {file}; an absolute path has four slashes, sqlite:////path")
        engine = sqlalchemy.create_engine(address)
        try:
            with engine.connect().execution_options(stream_results=True) as connection:
                for number, row in enumerate(connection.execute(_statement(sql)).mappings(), 1):
                    yield f"{address.database}, row {number}", dict(row)
        finally:
            engine.dispose()
    except (exc.SQLAlchemyError, ImportError) as error:  # a driver that is not installed is an ImportError
        reason = str(error).splitlines()[0]
        raise InputError(
            f"can't read {sql!r} of the database ({reason}); check the URL, the table and the driver"
        ) from error


def _statement(sql: str) -> Any:  # noqa: ANN401
    """A query as it is; the name of a table, also with its schema, as all of its rows."""
    import sqlalchemy

    if any(c.isspace() for c in sql.strip()):
        return sqlalchemy.text(sql)
    schema, _, table = sql.strip().rpartition(".")
    return sqlalchemy.select(sqlalchemy.text("*")).select_from(sqlalchemy.table(table, schema=schema or None))

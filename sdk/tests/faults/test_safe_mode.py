"""Under `allow_pickle = False` a pickle that would do harm is refused before it has done any; data still passes."""

from __future__ import annotations

import os
import pickle
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from .attacks import addresses, commands, exhaustions, pickled, readings
from .children import campaign, forked
from .mutations import Mutants, tried
from .payloads import KINDS
from .site import CONSUMER, PRODUCER, Site

_FEWEST_WITH_TEETH = 18
_SECRET = "a,b\n1,2\n"
_SEED, _MUTANTS, _MANY_MUTANTS = 6, 4_000, 200_000


def _loaded(site: Site, content: bytes, allow_pickle: bool) -> str:
    """What comes of it: `refused`, or the type of what was loaded, or the name of another exception."""
    from orchest import error, transfer
    from orchest.config import Config

    site.enter(CONSUMER)
    Config.allow_pickle = allow_pickle
    site.head.write_text("2023-01-01T00:00:00; PICKLE; it", encoding="utf-8")
    site.data().write_bytes(content)
    try:
        value = transfer.get_inputs()["it"]
        repr(value)
    except error.DeserializationError:
        return "refused"
    except BaseException as other:  # noqa: BLE001
        return f"{type(other).__name__}: {other}"
    return type(value).__name__


def refused(root: str, pickles: dict[str, bytes], marker: str, allow_pickle: bool) -> dict[str, str]:
    """What came of each that was not refused, or that has made the marker; a dead reader is what came of it, too."""
    site = Site(Path(root)).lay_out()
    site.directory.mkdir(parents=True)
    outcomes = {}
    for label, content in pickles.items():
        ending = forked(lambda: _loaded(site, content, allow_pickle))  # noqa: B023
        outcome = ending.value or ending.failure or f"the reader ended with {ending.code}"
        if Path(marker).exists() and label not in readings(marker):
            Path(marker).unlink()
            outcome += ", and the command ran"
        if outcome != "refused":
            outcomes[label] = outcome
    return outcomes


def test_no_command_runs(scratch: Path) -> None:
    marker = str(scratch / "marker")
    assert campaign(refused, str(scratch / "site"), commands(marker), marker, False) == {}


def test_the_commands_would_run_without_safe_mode(scratch: Path) -> None:
    """Else the test above could not fail."""
    marker = str(scratch / "marker")
    outcomes = campaign(refused, str(scratch / "site"), commands(marker), marker, True)
    assert sum("the command ran" in outcome for outcome in outcomes.values()) >= _FEWEST_WITH_TEETH, outcomes


def test_no_file_is_read(scratch: Path) -> None:
    secret = scratch / "secret"
    secret.write_text(_SECRET, encoding="utf-8")
    assert campaign(refused, str(scratch / "site"), readings(str(secret)), str(secret), False) == {}


def test_no_stream_is_read_by_its_path(scratch: Path) -> None:
    secret = str(scratch / "secret")
    campaign(_stream, secret)
    assert campaign(refused, str(scratch / "site"), readings(secret), secret, False) == {}


def _stream(path: str) -> None:
    import pyarrow as pa

    table = pa.table({"secret": [1]})
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def test_no_address_is_followed(scratch: Path) -> None:
    assert campaign(refused, str(scratch / "site"), addresses(), str(scratch / "none"), False) == {}


def test_addresses_would_be_followed_without_safe_mode(scratch: Path) -> None:
    outcomes = campaign(refused, str(scratch / "site"), addresses(), str(scratch / "none"), True)
    assert any("ended with -11" in outcome for outcome in outcomes.values()), outcomes


def test_nothing_is_counted_out(scratch: Path) -> None:
    assert campaign(refused, str(scratch / "site"), exhaustions(), str(scratch / "none"), False) == {}


def _unwritten() -> list[int]:
    import io

    import numpy as np

    from orchest._store.unpickling import load_file

    from .attacks import Call, Name

    content = pickled(Call(Name("numpy", "ndarray"), ((1000,), "u8")))
    elements = set()
    for _ in range(100):
        used = np.full(1000, 7, "u8")
        del used
        elements |= set(load_file(io.BytesIO(content), allow_pickle=False).tolist())
    return sorted(elements)


def test_an_array_without_content_shows_nobodys_memory() -> None:
    assert campaign(_unwritten) == [0]


def test_no_mutant_kills_its_reader() -> None:
    mutants: Mutants = campaign(tried, _SEED, 0, _MUTANTS)
    assert mutants.deaths == {}
    assert mutants.loaded > _MUTANTS / 3


@pytest.mark.torture
def test_no_mutant_of_many_kills_its_reader() -> None:
    """As many processes as processors, each with mutants of its own."""
    seed, processes = secrets.randbits(32), os.cpu_count() or 1
    part = _MANY_MUTANTS // processes
    with ThreadPoolExecutor(processes) as pool:
        parts: list[Mutants] = list(pool.map(lambda n: campaign(tried, seed, n * part, part), range(processes)))
    print(f"\nseed {seed}: {part * processes:,} mutants, {sum(one.loaded for one in parts):,} loaded")  # noqa: T201
    assert [one.deaths for one in parts] == [{}] * processes


_PLAIN: dict[str, Any] = {
    "a dict": {"a": [1, 2.5, None, True, 1 + 2j], "b": {"c": ("d", b"e", bytearray(b"f"))}},
    "sets": {frozenset({1, 2}), "three"},
    "times": [datetime(2024, 5, 6, 7, 8, tzinfo=timezone.utc), date(2024, 5, 6), timedelta(seconds=3)],
    "a deep list": [[[[[[1]]]]]],
    "large": [b"x" * 200_000, "y" * 200_000],
}


def _passed(root: str, value: Any) -> tuple[Any, Any]:
    from orchest import transfer
    from orchest.config import Config

    site = Site(Path(root)).lay_out()
    site.enter(PRODUCER, durable=False)
    transfer.output(value, "it")
    site.enter(CONSUMER)
    Config.allow_pickle = False
    return value, transfer.get_inputs()["it"]


@pytest.mark.parametrize("value", _PLAIN.values(), ids=_PLAIN)
def test_plain_data_passes(value: Any, scratch: Path) -> None:
    sent, got = campaign(_passed, str(scratch), value)
    assert (type(got), got) == (type(sent), sent)


def numbered_passes(root: str, kind: str) -> int:
    from orchest.config import Config

    site = Site(Path(root)).lay_out()
    site.enter(PRODUCER, durable=False)
    site.output(kind, 3, 200_000)
    site.enter(CONSUMER)
    Config.allow_pickle = False
    reading = site.read()
    assert reading.error is None, site.inputs()
    return reading.inputs[0][2]


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_frames_and_tables_pass(kind: str, scratch: Path) -> None:
    assert campaign(numbered_passes, str(scratch), kind) == 3


def test_an_object_of_somebodys_class_is_refused(scratch: Path) -> None:
    from .attacks import Made, Name

    foreign = {"a path": pickled(Made(Name("pathlib", "PosixPath"), ("/",)))}
    assert campaign(refused, str(scratch), foreign, str(scratch / "none"), False) == {}


def _beyond() -> dict[str, bytes]:
    """Objects of pandas whose parts do not fit each other: to work with them reads, or changes, somebody's memory."""
    import numpy as np
    import pandas as pd
    from pandas._libs.internals import _unpickle_block

    categorical = pd.Categorical([1.5, 2.5] * 4)
    categorical._ndarray.flags.writeable = True
    categorical._ndarray[:] = 127
    codes = [np.array([120] * 4, dtype="i1")] * 2
    levels = [pd.Index(["a", "b"]), pd.Index(["c", "d"])]
    masked = pd.array([1, 2, 3], dtype="Int64")
    masked._mask = np.array([False])
    sparse = pd.arrays.SparseArray([1.0, 2.0, 3.0])
    sparse._sparse_values = np.array([1.0])
    interval = pd.arrays.IntervalArray.from_breaks([1.0, 2.0, 3.0])
    interval._right = interval._right[:1]
    frame = pd.DataFrame({"a": [1, 2, 3]})
    blocks = (_unpickle_block(np.array([[1, 2, 3]]), slice(10**7, 10**7 + 1, 1), 2),)
    objects = {
        "categorical": categorical,
        "its series": pd.Series(categorical),
        "index": pd.MultiIndex(levels=levels, codes=codes, verify_integrity=False),
        "masked": masked,
        "sparse": sparse,
        "interval": interval,
        "frame": type(frame)._from_mgr(type(frame._mgr)(blocks, frame._mgr.axes), frame._mgr.axes),
    }
    return {label: pickle.dumps(one, 4) for label, one in objects.items()}


def test_what_points_beyond_its_bounds_is_refused(scratch: Path) -> None:
    assert campaign(refused, str(scratch / "site"), campaign(_beyond), str(scratch / "none"), False) == {}

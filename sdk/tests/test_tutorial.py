"""The pages about the SDK do what they say: every block of a page is run, in its order, and says what stands below it.

A block of Python prints, warns, and may end with an exception, whose last line counts as printed; one of the shell is
run by it. What follows as a block of text is what is expected, where `...` stands for anything and spaces do not
count; without one, silence is. An HTML comment in front of a block says what else is known of it: `needs numpy` (left
out where that is not installed), `file load.py` (the block is that file) or `not run`.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import orchest
from orchest import error, testing, transfer
from orchest.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL, REFERENCE = "docs/how-to/pass-data.md", "docs/sdk.md"
PAGES = [TUTORIAL, REFERENCE, "sdk/README.md", "README.md"]
PACKAGES = ("numpy", "pandas", "polars", "pyarrow", "fsspec")
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<language>python|sh)\n(?P<code>.*?)```"
    r"(?:\n+```text\n(?P<expected>.*?)```)?",
    re.DOTALL,
)
COMPARED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """Something to be run.

    Attributes:
        place: the page and the line.
        mark: what the comment in front of it says; "" without one.
    """

    place: str
    mark: str
    language: str
    code: str
    expected: str

    @property
    def needs(self) -> set[str]:
        words = self.mark.split()
        return set(words[1:]) if words[:1] == ["needs"] else set()


class Reader:
    """Does what a page says, one block after the other, in one process and one folder."""

    def __init__(self, main: ModuleType) -> None:
        self._names = vars(main)

    def does(self, block: Block) -> None:
        if block.mark.startswith("file "):
            Path(block.mark.split()[1]).write_text(block.code, encoding="utf-8")
            return
        said = self._runs(block) if block.language == "python" else _typed(block.code)
        assert doctest.OutputChecker().check_output(block.expected, said, COMPARED), (
            f"{block.place}\n{block.code}\nsays\n{said}\nand not\n{block.expected}"
        )

    def ends(self) -> None:
        """Leave the pipelines that the page has left open."""
        for value in [*self._names.values()]:
            if isinstance(value, contextlib.ExitStack):
                value.close()

    def _runs(self, block: Block) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                exec(compile(block.code, block.place, "exec"), self._names)
            except Exception as problem:  # noqa: BLE001 - compared with what the page says
                printed.writelines(traceback.format_exception_only(type(problem), problem))
        said = [f"{warning.category.__name__}: {warning.message}\n" for warning in warned]
        return "".join([*said, printed.getvalue()])


def _typed(command: str) -> str:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(Path(orchest.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(
            f"{page}:{text.count(chr(10), 0, found.start('code')) + 1}",
            found["mark"] or "",
            found["language"],
            found["code"],
            found["expected"] or "",
        )
        for found in BLOCK.finditer(text)
    ]


def is_installed(package: str) -> bool:
    return find_spec(package) is not None


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """In an empty folder, outside of any project."""
    monkeypatch.chdir(tmp_path)
    for name in ("durable", "keep_named_outputs", "allow_pickle", "verify"):
        monkeypatch.setattr(Config, name, getattr(Config, name))
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)  # where pickles look for the page's classes
    reader = Reader(main)
    yield reader
    reader.ends()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, reader: Reader) -> None:
    for block in blocks(page):
        if block.mark != "not run" and all(map(is_installed, block.needs)):
            reader.does(block)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_blocks_that_need_a_package_are_run(package: str) -> None:
    places = [block.place for page in PAGES for block in blocks(page) if package in block.needs]
    assert places != []
    if not is_installed(package):
        pytest.skip(f"{package} is not installed; left out: {', '.join(places)}")


def test_the_tutorial_can_be_followed_without_any_package() -> None:
    found = blocks(TUTORIAL)
    assert len([block for block in found if not block.needs and block.mark != "not run"]) >= 22
    assert [block.place for block in found if block.mark == "not run" and block.language == "python"] == []
    assert {word for block in found for word in block.needs} <= {*PACKAGES}


@pytest.mark.parametrize("page", [TUTORIAL, REFERENCE, "sdk/README.md"])
def test_links_and_files_that_a_page_names_are_there(page: str) -> None:
    source = ROOT / page
    text = source.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    files = re.findall(r"`((?:sdk|docs|benchmarks)/[\w/.-]+)`", text)
    assert [target for target in links if not (source.parent / target).exists()] == []
    assert [target for target in files if not (ROOT / target).exists()] == []


def _public(owner: Any) -> list[str]:
    return [name for name in vars(owner) if not name.startswith("_")]


def test_the_reference_has_every_setting_error_and_function() -> None:
    text = (ROOT / REFERENCE).read_text(encoding="utf-8")
    functions = ["output", "output_to_disk", "output_to_memory", "get_inputs", "resolve", "describe", "Serialization"]
    assert set(functions) <= set(_public(transfer))
    names = [*orchest.__all__, *_public(Config), *_public(error), *_public(testing.Site), *functions]
    assert [name for name in names if name != "annotations" and not re.search(rf"\b{name}\b", text)] == []


def test_a_page_that_says_something_else_is_noticed(reader: Reader) -> None:
    """The positive control."""
    reader.does(Block("here", "", "python", "print('x   y')", "x y\n"))
    reader.does(Block("here", "", "python", "1 / 0", "ZeroDivisionError: division by zero\n"))
    reader.does(Block("here", "", "sh", "echo $((1 + 1))", "2\n"))
    for code, expected in (("print(1)", "2\n"), ("1 / 0", ""), ("print(1)", ""), ("", "1\n")):
        with pytest.raises(AssertionError, match="says"):
            reader.does(Block("here", "", "python", code, expected))

"""`orchest` as a user runs it: arguments in, exit code and both streams out."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.cli import run
from reconciler.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    def succeeded(self, code: int = ExitCode.DONE) -> Result:
        assert self.code == code, (self.code, self.err)
        return self

    def failed(self, code: int, *words: str) -> Result:
        """One message that has each of `words`, nothing for a program to read, no traceback."""
        assert self.code == code, (self.code, self.out, self.err)
        assert self.out == ""
        assert self.err.count("Error: ") == 1, self.err
        assert self.err.endswith("\n")
        assert "Traceback" not in self.err
        message = self.err[self.err.index("Error: ") :]
        for word in words:
            assert word in message, (word, message)
        return self


def orchest(*arguments: str | Path) -> Result:
    """In this process: a defect of ours, which would be a traceback for the user, raises."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Result(int(code), out.getvalue(), err.getvalue())


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file with its content: what a command may have left behind."""

    def found() -> Iterator[tuple[str, bytes]]:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(folder)), path.read_bytes()

    return dict(found())

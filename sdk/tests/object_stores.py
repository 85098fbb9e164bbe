"""Object stores for the tests: one of our own that counts, and fails or lets others act when it is told to; and S3.

Our own is in this process, knows objects only (no folders, nothing is changed in place), and is a driver of fsspec
like any other. S3 is moto's server in a process of its own, on loopback, spoken to by s3fs. Both obey the same tests.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, ClassVar

import fsspec
from fsspec.spec import AbstractFileSystem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Call = Callable[[str, str], None]
"""Gets what is asked (`get`, `put`, `list`, `remove`) and of which object."""


def _nothing(what: str, name: str) -> None:
    del what, name


class Objects:
    """The content of our own store, and what happens to it.

    Attributes:
        content: path -> bytes.
        calls: what was asked so far, and of which object.
        sent: bytes that were given to readers.
        before, after: called around everything that is asked. What they raise the caller gets instead of an answer:
            of `before` with nothing done, of `after` when it is done.
        forgets: large objects are taken and dropped, for outputs that need not be read.
    """

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        self.sent = 0
        self.before: Call = _nothing
        self.after: Call = _nothing
        self.forgets = False
        self.lock = threading.Lock()

    def calm_down(self) -> None:
        """From now on everything is done as it is asked."""
        self.before = self.after = _nothing


class Driver(AbstractFileSystem):  # type: ignore[misc]
    """`ours://bucket/...`"""

    protocol = "ours"
    objects: ClassVar[Objects] = Objects()

    @contextlib.contextmanager
    def _asked(self, what: str, path: str) -> Iterator[Objects]:
        objects = self.objects
        name = path.rpartition("/")[2]
        objects.calls.append((what, name))
        objects.before(what, name)
        try:
            yield objects
        finally:
            objects.after(what, name)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        with self._asked("get", path) as objects:
            if path not in objects.content:
                raise FileNotFoundError(path)
            part = objects.content[path][start:end]
            objects.sent += len(part)
            return part

    def pipe_file(self, path: str, value: bytes, *_: Any, **__: Any) -> None:
        with self._asked("put", path) as objects:
            objects.content[path] = b"" if objects.forgets and len(value) > 1 << 20 else bytes(value)

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        with self._asked("list", path) as objects, objects.lock:
            names = sorted(one for one in objects.content if one.rpartition("/")[0] == path)
            if not names:
                raise FileNotFoundError(path)
            return [{"name": name, "size": None, "type": "file"} for name in names] if detail else names

    def rm_file(self, path: str) -> None:
        with self._asked("remove", path) as objects, objects.lock:
            if objects.content.pop(path, None) is None:
                raise FileNotFoundError(path)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        assert mode == "wb"
        return _Upload(self, path)


class _Upload(io.RawIOBase):
    """What is written becomes an object when it is closed, and only then."""

    def __init__(self, driver: Driver, path: str) -> None:
        self._driver = driver
        self._path = path
        self._content = io.BytesIO()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data) if self._driver.objects.forgets else self._content.write(data)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._driver.pipe_file(self._path, self._content.getvalue())
        self.close()


class Store:
    """A place in a store, seen from outside of the SDK, for what tests do to objects."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _at(self, name: str) -> tuple[Any, str]:
        driver, path = fsspec.core.url_to_fs(f"{self.url}/{name}", use_listings_cache=False)
        return driver, path

    def names(self, step_uuid: str) -> list[str]:
        """Of the step's objects, sorted."""
        driver, path = self._at(step_uuid)
        try:
            return sorted(name.rpartition("/")[2] for name in driver.ls(path, detail=False, refresh=True))
        except FileNotFoundError:
            return []

    def read(self, name: str) -> bytes:
        driver, path = self._at(name)
        content: bytes = driver.cat_file(path)
        return content

    def write(self, name: str, content: bytes) -> None:
        driver, path = self._at(name)
        driver.pipe_file(path, content)

    def remove(self, name: str) -> None:
        driver, path = self._at(name)
        driver.rm_file(path)


class Moto:
    """A server that behaves like S3, with one bucket."""

    bucket = "bucket"
    settings: dict[str, Any]
    """What fsspec has to be configured with."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._log = folder / "moto.log"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.settings = {
            "key": "dummy-key",
            "secret": "dummy-secret",
            "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "eu-west-1"},
        }
        self._wait_for(port)

    def make_bucket(self) -> None:
        fsspec.filesystem("s3", **self.settings).mkdir(self.bucket)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        raise AssertionError(f"moto does not start: {self._log.read_text()}")


def use(monkeypatch: Any, settings: dict[str, Any]) -> None:
    """Let fsspec speak to S3 with these, and with nothing that this machine says."""
    monkeypatch.setitem(fsspec.config.conf, "s3", settings)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # or a lack of keys would be a packet to another address

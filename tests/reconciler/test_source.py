from __future__ import annotations

import io
import os
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from desired_state.origin import Origin, OriginKind
from reconciler.documents import MAX_FILE_BYTES, MAX_FILES
from reconciler.source import SourceError, read_paths, reread

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    """`clusters__a_yaml="..."` writes clusters/a.yaml."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def error_of(*paths: str) -> str:
    with pytest.raises(SourceError) as caught:
        read_paths(paths)
    return str(caught.value)


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_a_file_is_read_under_the_name_the_user_gave(folder: Path) -> None:
    write(folder, cluster_yaml="kind: OrchestCluster\n")
    assert read_paths(["cluster.yaml"]).documents == (("cluster.yaml", "kind: OrchestCluster\n"),)


def test_a_file_may_have_any_name(folder: Path) -> None:
    write(folder, manifest="a")
    assert read_paths(["./manifest"]).documents == (("./manifest", "a"),)


def test_a_folder_gives_its_manifests_recursively_and_sorted(folder: Path) -> None:
    write(folder, f__b_yaml="b", f__a__z_json="z", f__a__y_yml="y", f__notes_md="no", f__c_yaml_txt="no")
    assert read_paths(["f"]).documents == (("f/a/y.yml", "y"), ("f/a/z.json", "z"), ("f/b.yaml", "b"))


def test_several_paths_are_read_together(folder: Path) -> None:
    write(folder, f__a_yaml="a", g_yaml="g")
    assert {text for _, text in read_paths(["g.yaml", "f"]).documents} == {"a", "g"}


def test_hidden_files_and_folders_of_a_folder_are_left_out(folder: Path) -> None:
    write(folder, f__a_yaml="a")
    for name in (".github/workflow.yaml", ".hidden.yaml", ".git/config.yaml"):
        (folder / "f" / name).parent.mkdir(exist_ok=True)
        (folder / "f" / name).write_text("no")
    assert read_paths(["f"]).documents == (("f/a.yaml", "a"),)


def test_a_mounted_config_map_is_read_once(folder: Path) -> None:
    """Kubernetes mounts it as links through `..data` into a dated folder."""
    dated = folder / "mount" / "..2026_11_22"
    dated.mkdir(parents=True)
    (dated / "cluster.yaml").write_text("a")
    (folder / "mount" / "..data").symlink_to(dated.name)
    (folder / "mount" / "cluster.yaml").symlink_to("..data/cluster.yaml")
    assert read_paths(["mount"]).documents == (("mount/cluster.yaml", "a"),)


def test_a_linked_folder_is_followed(folder: Path) -> None:
    write(folder, elsewhere__a_yaml="a")
    (folder / "f").mkdir()
    (folder / "f" / "link").symlink_to("../elsewhere")
    assert read_paths(["f"]).documents == (("f/link/a.yaml", "a"),)


def test_a_link_in_a_circle_ends_with_a_message(folder: Path) -> None:
    write(folder, f__a_yaml="a")
    (folder / "f" / "again").symlink_to("../f")
    assert error_of("f") == "f/again: a link to a folder above itself. Remove it, or name a folder without it."


def test_a_pipe_is_read_like_a_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    writer = threading.Thread(target=lambda: (folder / "pipe").write_text("kind: X"))
    writer.start()
    assert read_paths(["pipe"]).documents == (("pipe", "kind: X"),)
    writer.join()


def test_a_byte_order_mark_is_no_part_of_the_text(folder: Path) -> None:
    (folder / "a.yaml").write_bytes(b"\xef\xbb\xbfkind: X")
    assert read_paths(["a.yaml"]).documents == (("a.yaml", "kind: X"),)


def test_standard_input_is_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"kind: X\n")
    read = read_paths(["-"])
    assert read.documents == (("standard input", "kind: X\n"),)
    assert read.origin.kind is OriginKind.STDIN


def test_the_origin_names_the_paths_wherever_the_user_stood(folder: Path) -> None:
    write(folder, f__a_yaml="a")
    origin = read_paths(["f"]).origin
    assert (origin.kind, origin.paths) == (OriginKind.FILES, (str(folder / "f"),))


def test_equal_input_has_an_equal_digest_from_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, f__g__a_yaml="a")
    digests = {read_paths([path]).origin.content_digest for path in ("f", "./f/", str(folder / "f"), "f/../f")}
    monkeypatch.chdir(folder / "f")
    digests.add(read_paths(["."]).origin.content_digest)
    assert len(digests) == 1


def test_every_difference_changes_the_digest(folder: Path) -> None:
    variants = [
        {"a_yaml": "ab"},
        {"a_yaml": "a", "b_yaml": "b"},
        {"b_yaml": "ab"},
        {"a_yaml": "a", "b_yaml": ""},
        {"a_yaml": "", "b_yaml": "c"},
        {"a_yaml": "b.yamlc"},
        {"a_yml": "ab"},
    ]
    digests = set()
    for number, files in enumerate(variants):
        write(folder / str(number), **files)
        digests.add(read_paths([str(number)]).origin.content_digest)
    assert len(digests) == len(variants)


def test_reading_again_gives_the_same_until_something_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, f__a_yaml="a")
    first = read_paths(["f"])
    assert reread(first.origin) == first
    (folder / "other").mkdir()
    monkeypatch.chdir(folder / "other")
    assert reread(first.origin).origin == first.origin
    (folder / "f" / "a.yaml").write_text("changed")
    assert reread(first.origin).origin.content_digest != first.origin.content_digest


def test_standard_input_cannot_be_read_again() -> None:
    with pytest.raises(SourceError, match=r"standard input cannot be read again. Plan from a file"):
        reread(Origin(OriginKind.STDIN, "d"))


def test_a_place_that_a_caller_of_the_api_named_is_never_opened(folder: Path) -> None:
    (folder / "a.yaml").write_text("a")
    origins = (
        Origin(OriginKind.SENT, "d", (str(folder / "a.yaml"),), str(folder), "main", "c" * 40),
        Origin(OriginKind.SENT, "d"),
        Origin(OriginKind.CLUSTER, "d", (str(folder / "a.yaml"),)),
    )
    for origin in origins:
        with pytest.raises(SourceError, match="nothing that could be read again"):
            reread(origin)


def test_a_missing_path_is_named_with_where_it_was_looked_for(folder: Path) -> None:
    assert error_of("nothing.yaml") == (
        f"nothing.yaml: no such file or folder. Check the path; it is taken from {folder}."
    )


def test_a_broken_link_in_a_folder_is_named(folder: Path) -> None:
    (folder / "f").mkdir()
    (folder / "f" / "a.yaml").symlink_to("gone")
    assert error_of("f").startswith("f/a.yaml: no such file or folder.")


def test_an_empty_folder_is_an_error(folder: Path) -> None:
    write(folder, f__notes_md="no")
    assert error_of("f") == "f: no *.yaml, *.yml or *.json file here. Name the folder that holds the manifests."


def test_text_that_is_not_utf_8_is_named_with_its_byte(folder: Path) -> None:
    (folder / "a.yaml").write_bytes("name: größe".encode("latin-1"))
    assert error_of("a.yaml") == "a.yaml: not UTF-8: byte 9 is 0xf6. Save the file as UTF-8."


def test_a_file_that_is_too_large_is_named_with_its_size(folder: Path) -> None:
    (folder / "a.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert error_of("a.yaml").startswith(
        f"a.yaml: {MAX_FILE_BYTES + 1} bytes, a manifest has at most {MAX_FILE_BYTES}."
    )


def test_the_largest_file_is_still_read(folder: Path) -> None:
    (folder / "a.yaml").write_bytes(b"#" * MAX_FILE_BYTES)
    assert len(read_paths(["a.yaml"]).documents[0][1]) == MAX_FILE_BYTES


def test_a_device_without_an_end_is_not_read_for_ever() -> None:
    assert "bytes, a manifest has at most" in error_of("/dev/zero")


def test_a_folder_of_too_many_files_is_refused(folder: Path) -> None:
    for number in range(MAX_FILES + 1):
        (folder / f"{number}.yaml").touch()
    assert f"more than {MAX_FILES} manifests. Name the folder" in error_of(".")


def test_a_file_that_cannot_be_read_gives_the_systems_reason() -> None:
    assert error_of("/proc/self/mem") == (
        "/proc/self/mem: cannot be read: Input/output error. Name a file or a folder with manifests."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_gets_the_mend(folder: Path) -> None:
    write(folder, a_yaml="a")
    (folder / "a.yaml").chmod(0)
    assert error_of("a.yaml").startswith("a.yaml: permission denied. Make it readable")


def test_a_git_lfs_pointer_is_recognised(folder: Path) -> None:
    write(folder, a_yaml="version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "a.yaml: a Git LFS pointer" in error_of("a.yaml")


@pytest.mark.parametrize("data", [b"", b"\n  \n"])
def test_empty_standard_input_is_an_error(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    pipe(monkeypatch, data)
    assert error_of("-") == "standard input is empty. Pipe a manifest into it, or name a file by -f FILE."


def test_standard_input_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"#" * (MAX_FILE_BYTES + 100))
    assert error_of("-").startswith("standard input: ")


def test_standard_input_stands_alone(folder: Path) -> None:
    write(folder, a_yaml="a")
    assert error_of("a.yaml", "-").startswith("-: standard input cannot be mixed with other paths.")

"""Test that downloads and archives are bounded by the known size, and that memory holds a piece."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from triptych.data.formats.lines import LONGEST_LINE_BYTES, lines_of, read_bytes
from triptych.data.formats.squad import contents
from triptych.data.sets import catalog, files
from triptych.data.sets import sizes as catalog_sizes
from triptych.data.sets.entry import Entry, File
from triptych.data.validation.pairs import readable
from triptych.errors import DataError

CONTENT = b"Hi.\tHallo.\n" * 1000
ZEROS = b"\0" * (1 << 24)
SOME = 96 << 20  # bytes beside what Python itself takes
LITTLE = f"""
import resource
from pathlib import Path
from triptych.data.formats import lines
from triptych.data.sets import files
from triptych.data.sets.entry import Entry, File
from triptych.errors import DataError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {SOME}, used + {SOME}))
def tried(function, *arguments):
    try:
        function(*arguments)
    except DataError as problem:
        print(problem)
"""


def limited(code: str) -> list[str]:
    """Return the lines that a process with little memory prints.

    tried(function, ...) in its code prints the DataError.
    """
    done = subprocess.run(
        [sys.executable, "-c", LITTLE + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def bomb(pieces: int = 256) -> bytes:
    """Build a gzip file of a few MB that expands to `pieces` times 16 MiB of zeros."""
    return gzip.compress(ZEROS) * pieces


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.txt", content)
    return buffer.getvalue()


class Sent(BaseHTTPRequestHandler):
    """Send what the server holds under a path.

    /endless sends lines without end, /cut less than it announces.
    """

    def do_GET(self) -> None:
        content = self.server.held.get(self.path, b"")  # type: ignore[attr-defined]
        self.send_response(200)
        if self.path == "/cut":
            self.send_header("Content-Length", str(2 * len(CONTENT)))
        self.end_headers()
        try:
            self.wfile.write(CONTENT if self.path == "/cut" else content)
            while self.path.startswith("/endless"):
                self.wfile.write(CONTENT)
        except OSError:  # the reader had enough
            self.server.left.set()  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    monkeypatch.delenv("TRIPTYCH_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with HTTPServer(("127.0.0.1", 0), Sent) as found:
        found.held, found.left = {}, threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join(5)


def known(monkeypatch: pytest.MonkeyPatch, address: str, member: str | None = None) -> None:
    """Register the set "toy" of one file, a.txt, that holds CONTENT."""
    file = File("a.txt", hashlib.sha256(CONTENT).hexdigest(), address, member)
    monkeypatch.setitem(catalog.ENTRIES, "toy", Entry("toy", "", "", ("en",), (file,)))
    monkeypatch.setitem(catalog_sizes.BYTES, "toy", {"a.txt": len(CONTENT)})


def at(server: HTTPServer, path: str, content: bytes = b"") -> str:
    server.held[path] = content  # type: ignore[attr-defined]
    return f"http://127.0.0.1:{server.server_port}{path}"


@pytest.mark.parametrize("kind", ["txt", "txt.gz", "zip"])
def test_a_file_is_fetched_as_it_is(
    kind: str, server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = {"txt": CONTENT, "txt.gz": gzip.compress(CONTENT), "zip": zipped(CONTENT)}[kind]
    known(monkeypatch, at(server, f"/a.{kind}", sent), "a.txt" if kind == "zip" else None)
    (path,) = files.fetch(catalog.entry("toy"))
    assert path.read_bytes() == CONTENT
    assert [one.name for one in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("path", ["/endless", "/endless.gz", "/endless.zip"])
def test_an_endless_answer_is_left(
    path: str, server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, at(server, path), "a.txt" if path.endswith("zip") else None)
    with pytest.raises(
        DataError, match=r"/endless.* sends more than the [\d,]+ bytes that are expected"
    ):
        files.fetch(catalog.entry("toy"))
    assert server.left.wait(5)  # type: ignore[attr-defined]
    assert not list(tmp_path.rglob("a.txt*"))


def test_an_archive_that_unpacks_to_more_is_left(server: HTTPServer, tmp_path: Path) -> None:
    """Unpack 128 MiB in a process that may take 96 MiB more than Python does."""
    packed = {"gz": bomb(8), "zip": zipped(ZEROS * 8)}
    assert all(len(sent) < files.ARCHIVE_BYTES for sent in packed.values())
    code = f"files.BYTES['toy'] = {{'a.txt': {len(CONTENT)}}}\n"
    for kind, sent in packed.items():
        address, member = at(server, f"/a.{kind}", sent), "a.txt" if kind == "zip" else None
        code += f"file = File('a.txt', '', {address!r}, {member!r})\n"
        code += "tried(files.fetch, Entry('toy', '', '', (), (file,)))\n"
    notices = limited(code)
    assert len(notices) == 2
    for one in notices:
        assert f"is not the expected archive (it holds more than {len(CONTENT):,} bytes)" in one
    assert not list(tmp_path.rglob("a.txt*"))


def test_a_zip_packed_in_another_way_is_refused(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refuse bzip2 and LZMA, which Python unpacks whole, so that a bomb would fill the memory."""
    known(monkeypatch, at(server, "/a.zip", zipped(ZEROS, zipfile.ZIP_BZIP2)), "a.txt")
    with pytest.raises(DataError, match=r"a\.txt is packed by method 12"):
        files.fetch(catalog.entry("toy"))


def test_an_answer_that_breaks_off_is_not_kept(
    server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, at(server, "/cut"))
    with pytest.raises(
        DataError,
        match=r"could not be fetched from .*/cut \(IncompleteRead\(.* 11000 more expected",
    ):
        files.fetch(catalog.entry("toy"))
    assert not list(tmp_path.rglob("a.txt*"))


def test_a_file_at_hand_is_read_no_further_than_it_should_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, "https://example.org/a.txt")
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "a.txt.gz").write_bytes(bomb(1))
    for read in (
        lambda: files.fetch(catalog.entry("toy")),
        lambda: files.file_bytes(catalog.entry("toy"), "a.txt"),
    ):
        with pytest.raises(
            DataError,
            match=rf"a\.txt\.gz is not the expected file: it has more than {len(CONTENT):,} bytes",
        ):
            read()
    (tmp_path / "toy" / "a.txt.gz").write_bytes(gzip.compress(CONTENT))
    assert (
        files.fetch(catalog.entry("toy"))
        and files.file_bytes(catalog.entry("toy"), "a.txt") == CONTENT
    )


def test_every_file_of_every_set_has_its_size() -> None:
    """Compare the sizes also with the files that are present."""
    for name, info in catalog.entries().items():
        assert {file.name for file in info.files} == set(catalog_sizes.BYTES.get(name, ())), name
        for file in info.files if os.environ.get("TRIPTYCH_DATA") else ():
            path = files.find(info, file)
            if path is not None and path.suffix != ".gz":
                assert path.stat().st_size == files.most_bytes(info, file), path


def test_a_line_without_end_stops_the_reader(tmp_path: Path) -> None:
    """Read a line of 256 MiB after two short ones, and a device that never ends."""
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n") + bomb(16))
    paths = (str(path), "/dev/zero")
    notices = limited("".join(f"tried(lines.lines_of, {one!r})\n" for one in paths))
    assert [one.split(" If ")[0] for one in notices] == [
        f"{path}:3: the line has over {LONGEST_LINE_BYTES:,} bytes.",
        f"/dev/zero:1: the line has over {LONGEST_LINE_BYTES:,} bytes.",
    ]


def test_data_check_names_the_line_too(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"one\n") + bomb(5))
    with pytest.raises(DataError, match=r"a\.txt\.gz:2: the line has over"):
        readable(path, [])


@pytest.mark.parametrize("shape", ["lines", "ends", "no end", "empty"])
def test_what_is_not_too_long_is_read_as_it_is(shape: str, tmp_path: Path) -> None:
    """Read also lines that cross the pieces in which a file is read."""
    raw = {
        "lines": b"".join(b"%d\n" % number for number in range(300_000)),
        "ends": b"\n" * 10 + b"x" * (1 << 20) + b"\n" * 10,
        "no end": b"a\n" + b"b" * (3 << 20),
        "empty": b"",
    }[shape]
    (tmp_path / "a").write_bytes(raw)
    (tmp_path / "a.gz").write_bytes(gzip.compress(raw, 1))
    assert lines_of(tmp_path / "a.gz") == lines_of(tmp_path / "a")


def test_the_longest_line_is_counted_exactly(tmp_path: Path) -> None:
    path, longest = tmp_path / "a.gz", 3 << 20
    path.write_bytes(gzip.compress(b"one\n" + b"x" * longest + b"\nthree", 1))
    assert len(read_bytes(path, longest)) == longest + 10
    with pytest.raises(DataError, match=r"a\.gz:2: the line has over 3,145,727 bytes"):
        read_bytes(path, longest - 1)


@pytest.mark.parametrize("name", ["a.json.gz", "a.tgz", "a.tar.gz"])
def test_a_document_without_end_stops_the_reader(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.data.formats.squad.LONGEST_DOCUMENT_BYTES", 1 << 20)
    (tmp_path / name).write_bytes(bomb(1))
    with pytest.raises(DataError, match=rf"{name}:1: the line has over 1,048,576 bytes"):
        contents(tmp_path / name)


def test_a_member_that_is_mostly_holes_is_refused(tmp_path: Path) -> None:
    """Read a sparse member: a block in the tar, a terabyte when it is read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.json")
        info.size = 512
        info.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.size": str(1 << 40),
            "GNU.sparse.map": "0,512",
            "GNU.sparse.name": "a.json",
        }
        tar.addfile(info, io.BytesIO(b" " * 512))
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=r"a\.json claims 1,099,511,627,776 bytes in a tar of"):
        contents(tmp_path / "a.tar")

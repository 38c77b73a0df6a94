"""download.py against a server on the loopback address: every way a download goes wrong."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograder import download
from autograder.download import Address, DownloadError, File, Limits

BODY = hashlib.shake_256(b"body").digest(64 * 1024)
SHORT = Limits(seconds=0.4, size=1024)  # hundreds of times what a loopback answer takes
Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        answers = self.server.answers[self.path]
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *args: object) -> None:
        pass

    def reply(self, body: bytes, status: int = 200, length: int | None = None, **headers: str):
        """Send `body`; with a greater `length` promised it is a body cut short."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    """Answers each path with its list of answers, the last of them again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()

    def handle_error(self, *args: object) -> None:
        pass  # a client that hangs up is what these tests are about

    def at(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_port}{path}"


def good(handler: Handler) -> None:
    """A server that knows Range, as the real ones do."""
    wanted = handler.headers.get("Range")
    if wanted is None:
        return handler.reply(BODY)
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    place = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
    handler.reply(BODY[start:], 206, Content_Range=place)


def rangeless(handler: Handler) -> None:
    handler.reply(BODY)


def cut(handler: Handler) -> None:
    handler.reply(BODY[:40_000], length=len(BODY))


def wrong(handler: Handler) -> None:
    handler.reply(b"x" * len(BODY))


def portal(handler: Handler) -> None:
    handler.reply(b"<html>log in first</html>", Content_Type="text/html")


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.over.is_set():
        handler.wfile.write(BODY)


def forbidden(handler: Handler) -> None:
    handler.reply(b"", 403)


def silent(handler: Handler) -> None:
    handler.server.over.wait(10)


def drip(size: int, pause: float) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        for start in range(0, len(BODY), size):
            handler.wfile.write(BODY[start : start + size])
            if handler.server.over.wait(pause):
                return

    return answer


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


def one(url: str, body: bytes = BODY) -> Address:
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    return Address((File(url, "file.zip", len(body), digest),), "file.zip")


def fetch(folder: Path, *addresses: Address, limits: Limits = SHORT) -> Path:
    return download.fetch(folder, addresses=addresses, limits=limits, progress=False)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_good_file_is_fetched_once(server, tmp_path):
    address = one(server.at("/f", good))
    path = fetch(tmp_path, address)
    assert path.read_bytes() == BODY
    assert names(tmp_path) == ["file.zip"]
    assert fetch(tmp_path, address) == path
    assert len(server.requests) == 1


def test_the_progress_bar_leaves_stdout_alone(server, tmp_path, capsys):
    address = one(server.at("/f", good))
    path = download.fetch(tmp_path, addresses=(address,), limits=SHORT, progress=True)
    assert path.read_bytes() == BODY
    assert capsys.readouterr().out == ""


def test_a_server_that_refuses_pythons_user_agent_accepts_ours(server, tmp_path):
    def picky(handler: Handler) -> None:
        refused = "python" in handler.headers["User-Agent"].lower()
        (forbidden if refused else good)(handler)

    assert fetch(tmp_path, one(server.at("/f", picky))).read_bytes() == BODY


def test_a_redirect_is_followed_with_user_agent_and_range(server, tmp_path):
    def moved(handler: Handler) -> None:
        handler.reply(b"", 301, Location="/there")

    server.at("/there", cut, good)
    assert fetch(tmp_path, one(server.at("/f", moved))).read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/f", "/there"] * 2
    last = server.requests[-1][1]
    assert last["User-Agent"] == download.USER_AGENT
    assert last["Range"] == "bytes=40000-"


def test_a_broken_transfer_goes_on_where_it_broke(server, tmp_path):
    assert fetch(tmp_path, one(server.at("/f", cut, good))).read_bytes() == BODY
    assert [headers.get("Range") for _, headers in server.requests] == [None, "bytes=40000-"]


def test_a_part_left_by_an_earlier_run_is_gone_on_from(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(BODY[:1000])
    assert fetch(tmp_path, one(server.at("/f", good))).read_bytes() == BODY
    assert server.requests[0][1]["Range"] == "bytes=1000-"


def test_a_whole_part_left_by_an_earlier_run_needs_no_request(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(BODY)
    assert fetch(tmp_path, one(server.at("/f", good))).read_bytes() == BODY
    assert server.requests == []


def test_a_server_without_range_starts_from_the_beginning(server, tmp_path):
    assert fetch(tmp_path, one(server.at("/f", cut, rangeless))).read_bytes() == BODY


def test_a_refused_range_starts_from_the_beginning(server, tmp_path):
    def refuse(handler: Handler) -> None:
        handler.reply(b"", 416) if handler.headers.get("Range") else handler.reply(BODY)

    (tmp_path / "file.zip.part").write_bytes(BODY[:1000])
    assert fetch(tmp_path, one(server.at("/f", refuse))).read_bytes() == BODY


@pytest.mark.parametrize("stale", [b"y" * 1000, b"y" * len(BODY), b"y" * (len(BODY) + 1)])
def test_a_part_of_some_other_file_is_thrown_away(server, tmp_path, stale):
    (tmp_path / "file.zip.part").write_bytes(stale)
    assert fetch(tmp_path, one(server.at("/f", good))).read_bytes() == BODY


def test_a_damaged_final_file_is_fetched_anew(server, tmp_path):
    (tmp_path / "file.zip").write_bytes(b"y")
    assert fetch(tmp_path, one(server.at("/f", good))).read_bytes() == BODY


def test_a_transfer_that_always_breaks_at_the_same_place_is_given_up(server, tmp_path):
    with pytest.raises(DownloadError, match="broken off after 40,000 of 65,536 bytes"):
        fetch(tmp_path, one(server.at("/f", cut)))
    assert len(server.requests) == 2
    assert names(tmp_path) == ["file.zip.part"]


def test_wrong_bytes_are_fetched_a_second_time(server, tmp_path):
    assert fetch(tmp_path, one(server.at("/f", wrong, good))).read_bytes() == BODY
    assert [headers.get("Range") for _, headers in server.requests] == [None, None]


def test_wrong_bytes_twice_mean_the_next_address_and_leave_nothing(server, tmp_path):
    addresses = one(server.at("/bad", wrong)), one(server.at("/f", good))
    assert fetch(tmp_path, *addresses).read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/bad", "/bad", "/f"]
    assert names(tmp_path) == ["file.zip"]


def test_wrong_bytes_everywhere_are_an_error_with_both_digests(server, tmp_path):
    with pytest.raises(DownloadError, match="wrong bytes") as caught:
        fetch(tmp_path, one(server.at("/f", wrong)))
    assert hashlib.sha256(BODY).hexdigest() in str(caught.value)
    assert hashlib.sha256(b"x" * len(BODY)).hexdigest() in str(caught.value)
    assert names(tmp_path) == []


def test_an_answer_of_another_size_is_given_up_at_once(server, tmp_path):
    with pytest.raises(DownloadError, match="25 bytes of text/html, expected 65,536"):
        fetch(tmp_path, one(server.at("/f", portal)))
    assert len(server.requests) == 1


def test_an_answer_without_end_is_given_up_and_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match="more than the expected"):
        fetch(tmp_path, one(server.at("/f", endless)))
    assert names(tmp_path) == []


def give_up_seconds(tmp_path: Path, match: str, *addresses: Address) -> float:
    start = time.monotonic()
    with pytest.raises(DownloadError, match=match):
        fetch(tmp_path, *addresses)
    return time.monotonic() - start


def test_a_silent_server_is_given_up(server, tmp_path):
    seconds = give_up_seconds(tmp_path, "no answer in 0.4 s", one(server.at("/f", silent)))
    assert 0.3 < seconds < 1.5  # 0.4 s, and a loaded machine's slack


def test_a_trickle_is_given_up_and_kept_for_later(server, tmp_path):
    address = one(server.at("/f", drip(size=10, pause=0.05)))
    assert give_up_seconds(tmp_path, r"only \d+ bytes in 0.4 s", address) < 1.5
    assert names(tmp_path) == ["file.zip.part"]
    assert BODY.startswith((tmp_path / "file.zip.part").read_bytes())


def test_a_slow_but_steady_server_is_waited_for(server, tmp_path):
    address = one(server.at("/f", drip(size=8192, pause=0.1)))  # 0.8 s in all, past the limit
    assert fetch(tmp_path, address).read_bytes() == BODY


def test_a_name_look_up_that_hangs_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **keys: server.over.wait(10))
    address = one("http://nowhere.invalid/f")
    assert give_up_seconds(tmp_path, "no answer in 0.4 s", address) < 1.5


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_all_addresses_dead_is_one_error_with_a_line_for_each(server, tmp_path):
    urls = [
        f"http://127.0.0.1:{closed_port()}/refused",
        server.at("/forbidden", forbidden),
        server.at("/silent", silent),
        server.at("/portal", portal),
    ]
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, *map(one, urls))
    lines = str(caught.value).splitlines()
    expected = ["refused", "HTTP 403", "no answer", "25 bytes"]
    assert len(lines) == len(urls)
    for line, url, word in zip(lines, urls, expected, strict=True):
        assert line.startswith(f"- {url}: ")
        assert word in line.lower() or word in line


def test_the_public_addresses_are_given_up_within_ten_seconds():
    # Each address may waste one time limit; a second is left for everything else.
    assert len(download.ADDRESSES) * download.LIMITS.seconds <= 9
    assert download.LIMITS.size / download.LIMITS.seconds <= 10_000  # 50 KB/s passes easily


def test_an_interrupt_keeps_the_part_and_the_next_run_goes_on(server, tmp_path, monkeypatch):
    @contextmanager
    def interrupted(file: File, progress: bool):
        def show(have: int) -> None:
            if have > 20_000:
                raise KeyboardInterrupt

        yield show

    address = one(server.at("/f", drip(size=8192, pause=0.001), good))
    with monkeypatch.context() as patch:
        patch.setattr(download, "_bar", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(tmp_path, address)
    assert names(tmp_path) == ["file.zip.part"]
    assert fetch(tmp_path, address).read_bytes() == BODY
    assert server.requests[-1][1]["Range"].startswith("bytes=2")


def test_an_address_of_several_files_gives_their_folder(server, tmp_path):
    # `printf 'hello\n' | git hash-object --stdin`
    blob = "git:ce013625030ba8dba906f756967f9e9ca394464a"
    url = server.at("/hello", lambda handler: handler.reply(b"hello\n"))
    files = tuple(File(url, f"folder/{name}", 6, blob) for name in ("a.txt", "b.txt"))
    folder = fetch(tmp_path, Address(files, "folder"))
    assert folder == tmp_path / "folder"
    assert [(folder / name).read_bytes() for name in ("a.txt", "b.txt")] == [b"hello\n"] * 2


def test_clear_removes_what_was_fetched_and_nothing_else(server, tmp_path, monkeypatch):
    folder = tmp_path / "download"
    monkeypatch.setattr(download, "ADDRESSES", (one(server.at("/f", good)),))
    fetch(folder, *download.ADDRESSES)
    (folder / "file.zip.part").write_bytes(b"")
    (folder / "mine").write_bytes(b"")
    download.clear(folder)
    assert names(folder) == ["mine"]
    (folder / "mine").unlink()
    download.clear(folder)
    assert not folder.exists()

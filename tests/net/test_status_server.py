"""The status socket: what it answers, who may open it, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import stat
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp
import pytest

from lbctl.net import status_gate, systemd
from lbctl.net.status_gate import LIMIT
from lbctl.net.status_server import Answer, CannotListen, Query, SocketInUse, StatusServer


async def _echo(query: Query) -> Answer:
    return Answer({"got": dict(query), "address": IPv4Address("192.0.2.1")}, status=200 if query else 404)


async def _get(path: Path, url: str) -> tuple[int, object]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as client,
        client.get(f"http://lbctl{url}") as answer,
    ):
        return answer.status, await answer.json()


async def test_answers_json_with_the_status_of_the_handler(tmp_path: Path) -> None:
    path = tmp_path / "run" / "x.sock"
    async with StatusServer({"/v1/echo": _echo}, path):
        assert await _get(path, "/v1/echo?a=1") == (200, {"got": {"a": "1"}, "address": "192.0.2.1"})
        assert await _get(path, "/v1/echo") == (404, {"got": {}, "address": "192.0.2.1"})


async def test_only_the_owner_may_open_it_and_it_goes_with_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    async with StatusServer({}, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_second_server_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    async with StatusServer({"/v1/echo": _echo}, path):
        with pytest.raises(SocketInUse, match="another process"):
            await StatusServer({}, path).start()
        assert (await _get(path, "/v1/echo?a=1"))[0] == 200


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        (("192.0.2.77", 7967), "cannot listen on 192.0.2.77:7967: Cannot assign requested address"),
        (("2001:db8::77", 7967), r"cannot listen on \[2001:db8::77\]:7967: "),
        (("no.such.host.invalid", 7967), "cannot listen on no.such.host.invalid:7967: "),
    ],
)
async def test_a_tcp_address_that_cannot_be_had_is_named(tmp_path: Path, listen: tuple[str, int], why: str) -> None:
    path = tmp_path / "x.sock"
    with pytest.raises(CannotListen, match=why):
        await StatusServer({}, path, listen).start()
    assert not path.exists()


async def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    async with StatusServer({"/v1/echo": _echo}, path):
        assert (await _get(path, "/v1/echo?a=1"))[0] == 200


async def test_a_socket_of_a_successor_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    first = StatusServer({}, path)
    await first.start()
    path.unlink()
    async with StatusServer({}, path):
        await first.close()
        assert path.exists()


async def test_a_waiting_request_does_not_hold_up_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    waiting = asyncio.Event()

    async def forever(query: Query) -> Answer:
        waiting.set()
        await asyncio.Event().wait()
        return Answer({})

    server = StatusServer({"/v1/moves": forever}, path)
    await server.start()
    client = asyncio.create_task(_get(path, "/v1/moves"))
    await waiting.wait()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await server.close()
    assert loop.time() - began < 20, "it waits for who is connected"
    with pytest.raises(aiohttp.ClientError):
        await client


async def test_listens_on_tcp_only_when_asked(tmp_path: Path) -> None:
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    async with (
        StatusServer({"/v1/echo": _echo}, tmp_path / "x.sock", ("127.0.0.1", port)),
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/v1/echo?a=2") as answer,
    ):
        assert (await answer.json())["got"] == {"a": "2"}


def _free_port() -> int:
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port: int = finder.getsockname()[1]
        return port


_HALF = b"GET /v1/echo?a=1 HTTP/1.1\r\nHost: x\r\n"


async def test_no_stranger_uses_up_our_descriptors(tmp_path: Path) -> None:
    """Whoever is idle for longest goes; a request that is being answered stays; a new one is still answered."""
    port = _free_port()
    going, go_on = asyncio.Event(), asyncio.Event()

    async def slow(query: Query) -> Answer:
        going.set()
        await go_on.wait()
        return Answer({"slow": True})

    before = len(list(Path("/proc/self/fd").iterdir()))
    writers: list[asyncio.StreamWriter] = []
    async with StatusServer({"/v1/echo": _echo, "/v1/slow": slow}, tmp_path / "x.sock", ("127.0.0.1", port)):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        writer.write(b"GET /v1/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await going.wait()
        for _ in range(3 * LIMIT):
            _, half = await asyncio.open_connection("127.0.0.1", port)
            half.write(_HALF)
            writers.append(half)
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{port}/v1/echo?a=2") as answer,
        ):
            assert answer.status == 200
        held = len(list(Path("/proc/self/fd").iterdir())) - before - len(writers)
        assert held <= LIMIT + 5
        go_on.set()
        assert b"200" in await reader.readline()
        for each in writers:
            each.transport.abort()


async def test_with_everybody_busy_one_more_is_told_so(tmp_path: Path) -> None:
    port = _free_port()
    count, all_in = 0, asyncio.Event()

    async def forever(query: Query) -> Answer:
        nonlocal count
        count += 1
        if count == LIMIT:
            all_in.set()
        await asyncio.Event().wait()
        return Answer({})

    async with StatusServer({"/v1/moves": forever}, tmp_path / "x.sock", ("127.0.0.1", port)):
        writers: list[asyncio.StreamWriter] = []
        for _ in range(LIMIT):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /v1/moves HTTP/1.1\r\nHost: x\r\n\r\n")
            writers.append(writer)
        await all_in.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert f"Content-Length: {len(body)}".encode() in head
        assert json.loads(body) == {"schema": "lbctl.io/error/v1", "error": "too many connections; try again"}
        for each in (*writers, writer):
            each.transport.abort()


async def test_a_request_that_does_not_come_to_its_end_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_gate, "IDLE_TIME", 0.3)
    port = _free_port()
    async with StatusServer({"/v1/echo": _echo}, tmp_path / "x.sock", ("127.0.0.1", port)):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(60):
                while not reader.at_eof():
                    writer.write(b"X")  # A byte now and then does not help.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(100), 0.05)
        writer.transport.abort()


async def test_a_file_name_that_is_no_text_does_not_break_the_answer(tmp_path: Path) -> None:
    async def troubles(query: Query) -> Answer:
        return Answer({"troubles": ["\udcff.yaml: broken", "Zoë"], "address": IPv4Address("192.0.2.1")})

    path = tmp_path / "x.sock"
    async with StatusServer({"/v1/status": troubles}, path):
        said = {"troubles": ["\\xff.yaml: broken", "Zoë"], "address": "192.0.2.1"}
        assert await _get(path, "/v1/status") == (200, said)


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert systemd.notify("READY=1")
        assert listener.recv(100) == b"READY=1"
    assert not systemd.notify("READY=1"), "nobody listens any more"
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not systemd.notify("READY=1")


async def test_idle_and_half_open_connections_to_the_unix_socket_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sock"
    monkeypatch.setattr(status_gate, "IDLE_TIME", 0.3)
    async with StatusServer({"/v1/echo": _echo}, path):
        held = [await asyncio.open_unix_connection(path) for _ in range(300)]
        for _, writer in held[::2]:
            writer.write(b"GET /v1/echo?a=1 HTTP/1.1\r\n")
        assert (await _get(path, "/v1/echo?a=1"))[0] == 200, "one more is served all the same"
        for reader, writer in held:
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 60)
            writer.close()


async def test_many_at_once_are_all_answered(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    async with StatusServer({"/v1/echo": _echo}, path):
        answers = await asyncio.gather(*(_get(path, "/v1/echo?a=1") for _ in range(200)))
        assert {status for status, _ in answers} == {200}

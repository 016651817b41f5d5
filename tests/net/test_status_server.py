"""The status socket: what it answers, who may open it, and what it leaves behind."""

from __future__ import annotations

import asyncio
import socket
import stat
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp
import pytest

from lbctl.net import systemd
from lbctl.net.status_server import Answer, Query, SocketInUse, StatusServer


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
    assert loop.time() - began < 2
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


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert systemd.notify("READY=1")
        assert listener.recv(100) == b"READY=1"
    assert not systemd.notify("READY=1"), "nobody listens any more"
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not systemd.notify("READY=1")

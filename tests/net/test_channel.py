"""The channel between a speaker's processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.net import channel
from lbctl.net.channel import Channel, ChannelClosed

JSON = st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.lists(st.booleans())), max_size=4)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    left, right = socket.socketpair()
    with left, right:
        yield Channel(left), Channel(right)


def test_messages_arrive_in_order(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    assert other.receive() == []
    for n in range(10):
        one.send({"op": "x", "n": n})
    assert [message["n"] for message in other.receive()] == list(range(10))


@given(st.lists(JSON, max_size=8), st.integers(1, 50))
def test_any_cut_of_the_stream_gives_the_same_messages(messages: list[dict[str, object]], step: int) -> None:
    left, right = socket.socketpair()
    stream_left, stream_right = socket.socketpair()
    with left, right, stream_left, stream_right:
        writer = Channel(left)
        for message in messages:
            writer.send(message)
        right.setblocking(False)
        try:
            raw = right.recv(1 << 20)
        except BlockingIOError:
            raw = b""
        reader, got = Channel(stream_right), []
        for start in range(0, len(raw), step):
            stream_left.send(raw[start : start + step])
            got += reader.receive()
        assert got == messages


def test_a_message_larger_than_the_socket_waits_for_the_reader(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    big = {"op": "table", "set": ["x" * 100] * 50_000}
    one.send(big)
    assert one.wants_write
    got: list[channel.Message] = []
    while not got:
        got = other.receive()
        one.flush()
    assert got == [big]
    assert not one.wants_write


def test_the_last_words_are_heard_before_the_end(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.send({"op": "left"})
    one.close()
    assert other.receive() == [{"op": "left"}]
    with pytest.raises(ChannelClosed):
        other.receive()


def test_a_torn_last_message_is_an_end(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.sock.send(b"\x00\x00\x00\x10{")
    one.close()
    assert other.receive() == []
    with pytest.raises(ChannelClosed):
        other.receive()


def test_writing_to_a_dead_process_says_so(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    other.close()
    with pytest.raises(ChannelClosed):
        one.send({"op": "x"})


def test_a_reader_that_stopped_is_given_up(ends: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MAX_BACKLOG", 1 << 20)
    one, _ = ends
    with pytest.raises(ChannelClosed, match="stopped reading"):
        one.send({"op": "x" * (4 << 20)})


def test_an_absurd_length_is_refused(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.sock.send(b"\xff\xff\xff\xff")
    with pytest.raises(ChannelClosed, match="bytes"):
        other.receive()

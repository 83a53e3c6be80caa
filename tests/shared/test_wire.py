"""The lean connection of the log: who it says it is, how it reads, and what it does when the server goes away."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from eventsourcing.persistence import OperationalError
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoRespondersError

from nexus.nats_binary import find_binary
from nexus.server import EmbeddedServer
from shared.wire import Frames, Wire
from tests.shared.conftest import connected, soon

ECHO = "echo"


@pytest.fixture
async def wire(nc: Client) -> AsyncIterator[Wire]:
    """A connection to a server on which somebody echoes."""
    await echo(nc)
    opened = Wire.of(nc)
    yield opened
    await opened.close()


async def echo(nc: Client) -> None:
    async def answer(msg: Any) -> None:
        await msg.respond(msg.data + str((msg.headers or {}).get("Mood", "")).encode())

    await nc.subscribe(ECHO, cb=answer)


async def test_a_request_is_answered(wire: Wire) -> None:
    assert await wire.request(ECHO, b"hello") == (b"", b"hello")
    assert (await wire.request(ECHO, b"hello ", "Mood: merry\r\n"))[1] == b"hello merry"


async def test_a_thousand_requests_at_once_get_their_own_answers(wire: Wire) -> None:
    answers = await asyncio.gather(*(wire.request(ECHO, b"%d" % n) for n in range(1000)))

    assert [payload for _, payload in answers] == [b"%d" % n for n in range(1000)]


async def test_a_large_answer_arrives_whole(wire: Wire) -> None:
    large = bytes(range(256)) * 3000

    assert await wire.request(ECHO, large) == (b"", large)


async def test_nobody_there_is_said_at_once(wire: Wire) -> None:
    with pytest.raises(NoRespondersError):
        await wire.request("nobody", b"")
    with pytest.raises(NoRespondersError):
        await wire.collect("nobody", b"")


async def test_no_answer_is_a_timeout_and_a_late_one_does_no_harm(nc: Client, wire: Wire) -> None:
    kept: list[Any] = []

    async def keep(msg: Any) -> None:
        kept.append(msg)

    await nc.subscribe("slow", cb=keep)
    await nc.flush()

    with pytest.raises(TimeoutError, match="no answer from slow"):
        await wire.request("slow", b"", timeout=0.1)
    await kept[0].respond(b"late")

    assert await wire.request(ECHO, b"next") == (b"", b"next")


async def test_who_stops_waiting_disturbs_nobody(wire: Wire) -> None:
    await wire.request(ECHO, b"warm up")
    impatient = asyncio.create_task(wire.request(ECHO, b"first"))
    await asyncio.sleep(0)
    impatient.cancel()

    assert await wire.request(ECHO, b"second") == (b"", b"second")


async def test_what_was_under_way_fails_when_the_connection_breaks(server: EmbeddedServer) -> None:
    nc = await connected(server.access.authority)

    async def keep(msg: Any) -> None: ...

    await nc.subscribe("slow", cb=keep)
    await nc.flush()
    wire = Wire.of(nc)
    asking = asyncio.create_task(wire.request("slow", b""))
    await asyncio.sleep(0.05)

    await server.kill()
    with pytest.raises(ConnectionError):
        await asking
    with pytest.raises(ConnectionError):
        await wire.request("slow", b"")

    await server.start()
    await echo(nc)
    await soon(lambda: nc.is_connected)
    assert await wire.request(ECHO, b"back") == (b"", b"back")
    await wire.close()
    await nc.close()


async def test_a_closed_connection_opens_again_when_it_is_needed(wire: Wire) -> None:
    await wire.request(ECHO, b"1")
    await wire.close()

    assert await wire.request(ECHO, b"2") == (b"", b"2")


async def test_it_does_not_outlive_its_client(nats_url: str) -> None:
    nc = await connected(nats_url)
    wire = Wire.of(nc)
    await nc.close()

    with pytest.raises(ConnectionClosedError):
        await wire.request(ECHO, b"")


async def test_it_is_gone_soon_after_its_client(nc: Client, nats_url: str) -> None:
    await echo(nc)
    other = await connected(nats_url)
    wire = Wire.of(other)
    await wire.request(ECHO, b"")
    assert wire._writer is not None

    await other.close()

    await soon(lambda: wire._writer is None)


async def test_it_follows_its_client_to_a_new_connection(nc: Client, wire: Wire) -> None:
    await wire.request(ECHO, b"")
    old = wire._writer

    nc.stats["reconnects"] += 1  # as if the server had fallen silent: nothing closes a connection then

    await soon(lambda: wire._writer is None)
    assert await wire.request(ECHO, b"new") == (b"", b"new")
    assert wire._writer is not old


async def test_a_client_has_one(nc: Client) -> None:
    assert Wire.of(nc) is Wire.of(nc)


@asynccontextmanager
async def plain_server(folder: Path, *options: str) -> AsyncIterator[str]:
    """A nats-server with these options; yields host and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    port = address.partition(":")[2]
    command = [str(find_binary()), "-a", "127.0.0.1", "-p", port, *options]
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        await soon(lambda: process.returncode is not None or _listens(int(port)))
        assert process.returncode is None
        yield address
    finally:
        process.kill()
        await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def ask(nc: Client) -> bytes:
    await echo(nc)
    await nc.flush()
    wire = Wire.of(nc)
    _, payload = await wire.request(ECHO, b"it is me")
    await wire.close()
    await nc.close()
    return payload


async def test_it_needs_no_credentials_where_none_are_asked_for(tmp_path: Path) -> None:
    async with plain_server(tmp_path) as address:
        assert await ask(await nats.connect(f"nats://{address}")) == b"it is me"


async def test_it_says_user_and_password(tmp_path: Path) -> None:
    async with plain_server(tmp_path, "--user", "ada", "--pass", "l@velace") as address:
        assert await ask(await nats.connect(f"nats://{address}", user="ada", password="l@velace")) == b"it is me"


async def test_it_says_the_user_and_the_password_of_the_address(tmp_path: Path) -> None:
    async with plain_server(tmp_path, "--user", "ada", "--pass", "lovelace") as address:
        assert await ask(await nats.connect(f"nats://ada:lovelace@{address}")) == b"it is me"


@pytest.mark.parametrize("how", ["option", "callable", "address"])
async def test_it_says_the_token(tmp_path: Path, how: str) -> None:
    async with plain_server(tmp_path, "--auth", "s3cret") as address:
        if how == "address":
            nc = await nats.connect(f"nats://s3cret@{address}")
        else:
            nc = await nats.connect(f"nats://{address}", token="s3cret" if how == "option" else lambda: "s3cret")
        assert await ask(nc) == b"it is me"


async def test_it_signs_with_a_key(tmp_path: Path) -> None:
    nkeys = pytest.importorskip("nkeys", reason="nats-py[nkeys] is not installed")
    pair = nkeys.from_seed(nkeys.encode_seed(b"0123456789abcdef0123456789abcdef", nkeys.PREFIX_BYTE_USER))
    config = tmp_path / "nats.conf"
    config.write_text(f"authorization {{ users: [ {{ nkey: {pair.public_key.decode()} }} ] }}")

    async with plain_server(tmp_path, "-c", str(config)) as address:
        assert await ask(await nats.connect(f"nats://{address}", nkeys_seed_str=pair.seed.decode())) == b"it is me"


async def test_wrong_credentials_are_said(tmp_path: Path) -> None:
    async with plain_server(tmp_path, "--auth", "s3cret") as address:
        nc = await nats.connect(f"nats://{address}", token="s3cret")
        nc.options["token"] = "guess"
        wire = Wire.of(nc)
        with pytest.raises(ConnectionRefusedError, match="Authorization Violation"):
            await wire.request(ECHO, b"")
        await nc.close()


async def test_a_missing_permission_is_said_at_once(tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text(
        'authorization { users: [ { user: a, password: b, permissions: { publish: { deny: "nexus.>" } } } ] }'
    )

    async with plain_server(tmp_path, "-c", str(config)) as address:
        nc = await nats.connect(f"nats://{address}", user="a", password="b")
        await echo(nc)
        wire = Wire.of(nc)
        forbidden, allowed = await asyncio.gather(
            wire.request("nexus.events.x", b""), wire.request(ECHO, b"fine"), return_exceptions=True
        )
        assert isinstance(forbidden, OperationalError)
        assert 'Permissions Violation for Publish to "nexus.events.x"' in str(forbidden)
        assert allowed == (b"", b"fine")
        await wire.close()
        await nc.close()


STREAM = (
    b"+OK\r\nPING\r\nMSG _INBOX.a.1 1 5\r\nhello\r\n"
    b"HMSG _INBOX.a.2 1 reply 24 29\r\nNATS/1.0\r\nMood: good\r\n\r\nworld\r\n"
    b"MSG _INBOX.a.3 1 0\r\n\r\nMSG _INBOX.a.4 1 8\r\nMSG \r\nx \r\n-ERR 'oh'\r\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_messages_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    heard: list[Any] = []
    frames = Frames(lambda words, head, payload: heard.append((words[1], head, payload)), heard.append)

    for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        frames.feed(STREAM[start:end])

    assert heard == [
        b"+OK",
        b"PING",
        (b"_INBOX.a.1", b"", b"hello"),
        (b"_INBOX.a.2", b"NATS/1.0\r\nMood: good\r\n\r\n", b"world"),
        (b"_INBOX.a.3", b"", b""),
        (b"_INBOX.a.4", b"", b"MSG \r\nx "),
        b"-ERR 'oh'",
    ]


async def test_it_answers_the_servers_ping(tmp_path: Path) -> None:
    """Else the server would cut it off."""
    config = tmp_path / "nats.conf"
    config.write_text("ping_interval: 100ms\nping_max: 1")

    async with plain_server(tmp_path, "-c", str(config)) as address:
        nc = await nats.connect(f"nats://{address}")
        await echo(nc)
        wire = Wire.of(nc)
        await wire.request(ECHO, b"")
        opened = wire._writer
        await asyncio.sleep(0.6)
        assert (await wire.request(ECHO, b"still here"))[1] == b"still here"
        assert wire._writer is opened
        await wire.close()
        await nc.close()


async def test_it_speaks_tls_where_the_server_does(tmp_path: Path) -> None:
    context = certified(tmp_path)
    if context is None:
        pytest.skip("no openssl to make a certificate with")
    options = ("--tls", "--tlscert", "cert.pem", "--tlskey", "key.pem")
    async with plain_server(tmp_path, *options) as address:
        nc = await nats.connect(f"tls://{address}", tls=context(), tls_hostname="localhost")
        assert await ask(nc) == b"it is me"


def certified(folder: Path) -> Callable[[], Any] | None:
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    what = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(
        [openssl, *what.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return lambda: ssl.create_default_context(cafile=folder / "cert.pem")

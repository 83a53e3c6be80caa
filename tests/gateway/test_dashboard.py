"""The page: self-contained, and it shows what there is."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from httpx import AsyncClient

from nexus.agent import Agent
from services.gateway.app import STATIC
from tests.gateway.asking import described, ended, task

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FILES = sorted(path for path in STATIC.iterdir() if path.suffix in {".html", ".js", ".css"})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_page_asks_no_other_host(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")

    assert not re.search(r"""https?://|["'(]//""", text)


def test_every_file_that_the_page_names_is_there() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in FILES)
    named = {*re.findall(r'"/static/([\w.]+)"', text), *re.findall(r'from "\./([\w.]+)"', text)}

    assert named == {path.name for path in STATIC.iterdir()} - {"index.html"}


def test_scripts_make_no_elements_from_text() -> None:
    scripts = "".join(file.read_text(encoding="utf-8") for file in FILES if file.suffix == ".js")

    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", scripts)


@pytest.mark.nats
async def test_the_page_is_at_the_root(http: AsyncClient) -> None:
    page, script = await http.get("/"), await http.get("/static/app.js")

    assert page.headers["content-type"].startswith("text/html")
    assert "javascript" in script.headers["content-type"]


@pytest.mark.nats
@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here to look at the page with")
async def test_a_browser_shows_a_project(http: AsyncClient, worker: Agent, tmp_path: Path) -> None:
    project = await described(http, task("a", title="Lay <b>bricks</b>"), task("b", "a"), title="Build a house")
    await ended(http, project)

    dom = await seen(str(http.base_url), tmp_path)

    assert dom.count("Build a house") >= 2  # in the list, and as the project shown
    assert "Lay &lt;b&gt;bricks&lt;/b&gt;" in dom
    assert "worker" in dom
    assert re.search(r'id="link"[^>]*>live', dom)


async def seen(url: str, profile: Path) -> str:
    """Return the page as it is after some seconds."""
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, *arguments, "--virtual-time-budget=5000", "--dump-dom", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(50):
            found, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return found.decode()

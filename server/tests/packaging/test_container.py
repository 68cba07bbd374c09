"""The image of the server: its file is sound, and what it builds serves."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ports import free_port

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "Containerfile").read_text()
MOST = 150_000_000
"""Bytes of the image, unpacked."""
PYTHON_MOST = 50_000_000
"""Bytes of the base, unpacked: what is left is for what we add."""

#: The base where none can be had: this machine's own programs, mounted while they run.
STAND_IN = """
FROM scratch
ENV PATH={prefix}/bin:/usr/bin:/bin
"""


def values(instruction: str) -> list[str]:
    """Return what follows an instruction of the file, each time it stands there."""
    joined = TEXT.replace("\\\n", " ")
    return re.findall(rf"^{instruction}\s+(.+)$", joined, re.MULTILINE)


def test_the_base_is_one_release_in_both_stages() -> None:
    (base,) = [value for value in values("ARG") if value.startswith("BASE=")]
    assert re.fullmatch(r"BASE=docker\.io/library/python:3\.\d+\.\d+-\w+[\d.]+", base)
    assert values("FROM") == ["${BASE} AS build", "${BASE}"]


def test_the_server_runs_as_a_user_of_its_own_and_is_asked_for_its_health() -> None:
    assert values("USER") == ["10001:10001"]
    (health,) = values("HEALTHCHECK")
    assert "http://127.0.0.1:8888/healthz" in health
    assert values("EXPOSE") == ["8888"]


def test_what_it_copies_exists_and_is_not_ignored() -> None:
    known = (ROOT / ".containerignore").read_text().splitlines()
    copied = [value.split()[:-1] for value in values("COPY") if value[:2] != "--"]
    names = [name for sources in copied for name in sources]
    assert names
    for name in names:
        assert (ROOT / name).exists()
        assert f"!{name}" in known


def mounts() -> list[str]:
    """Return the options that lend an image the programs of this machine."""
    prefix = Path(sys.base_prefix)
    wanted = {prefix, *map(Path, ("/usr", "/lib", "/lib64", "/bin", "/etc/ssl"))}
    return [f"--volume={path}:{path}:ro" for path in sorted(wanted) if path.exists()]


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Run ``buildah`` with a store of its own."""
    program = shutil.which("buildah")
    if program is None:
        pytest.skip("there is no buildah")
    place = [
        "--storage-driver=vfs",
        f"--root={tmp_path}/root",
        f"--runroot={tmp_path}/run",
    ]

    def run(*words: str) -> str:
        done = subprocess.run(
            [program, *place, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    yield run
    run("rm", "--all")
    run("rmi", "--all", "--force")


def base(buildah: Callable[..., str], directory: Path) -> tuple[str, list[str]]:
    """Return the image to begin with, and what runs in it need."""
    (real,) = [value[5:] for value in values("ARG") if value.startswith("BASE=")]
    with suppress(AssertionError):
        buildah("pull", real)
        return real, []
    file = directory / "Stand-in"
    file.write_text(STAND_IN.format(prefix=sys.base_prefix))
    buildah("build", "--tag=localhost/base", f"--file={file}", str(directory / "empty"))
    pip = directory / "pip.conf"
    known = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    cert = re.search(r"cert='(.+)'", known.stdout)
    pip.write_text(f"[global]\ncert = {cert[1]}\n" if cert else "")
    return "localhost/base", [f"--volume={pip}:/etc/pip.conf:ro", *mounts()]


@pytest.mark.thorough  # builds an image: two minutes
def test_an_image_is_built_small_and_serves_without_rights(
    buildah: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    image, needed = base(buildah, tmp_path)
    build = ["build", "--isolation=chroot", "--network=host", "--format=docker"]
    buildah(*build, *needed, f"--build-arg=BASE={image}", "--tag=zaqarserver", ".")
    container = buildah("from", "zaqarserver")
    place = Path(buildah("mount", container))
    size = sum(file.lstat().st_size for file in place.rglob("*"))
    assert size < (MOST - PYTHON_MOST if needed else MOST)
    port = free_port()
    run = ["run", "--isolation=chroot", "--user=10001:10001", *needed, container]
    # The server listens everywhere, which is refused where everyone may do everything.
    with pytest.raises(AssertionError, match="--insecure"):
        buildah(*run, "zaqarserver", f"--port={port}")
    (health,) = values("HEALTHCHECK")
    asks = shlex.join(json.loads(health[health.index("[") :]))
    script = f"""
        zaqarserver --insecure --port={port} & server=$!
        until {asks.replace("8888", str(port))} 2>/dev/null; do
            kill -0 $server && sleep 0.1 || exit 1
        done
        [ -O /data/zaqar.db ] || exit 1
        kill $server; wait $server
    """
    buildah(*run, "/bin/sh", "-c", script)

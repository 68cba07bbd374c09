"""The files for operators: the unit of systemd, the rules for alerts."""

from __future__ import annotations

import configparser
import http.client
import re
import subprocess
from pathlib import Path

import needs
import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "server/deploy"
ALERTS = ROOT / "doc/source/admin/examples/alerts.yml"
#: The exposure that the unit may have, in tenths.
EXPOSED = 30


def test_the_unit_exposes_little() -> None:
    program = needs.program("systemd-analyze", package="systemd")
    words = ["security", "--offline=yes", f"--threshold={EXPOSED}", "--no-pager"]
    done = subprocess.run(
        [program, *words, DEPLOY / "zaqarserver.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_distributions_bring_what_they_name() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "server/setup.cfg")
    files = parser["options.data_files"]["share/zaqarserver"].split()
    assert [Path(name).name for name in files] == [
        "zaqarserver.service",
        "zaqarserver.socket",
    ]
    for name in files:
        assert (ROOT / "server" / name).is_file()


def test_the_rules_for_alerts_name_metrics_that_exist(server: object) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)  # type: ignore[attr-defined]
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    connection.close()
    known = set(re.findall(r"^# TYPE (\S+) ", page, re.MULTILINE))
    assert {"zaqar_websockets", "zaqar_store_bytes", "process_open_fds"} <= known
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            named = set(re.findall(r"\b(?:zaqar|process)_\w+", rule["expr"]))
            assert {name.removesuffix("_bucket") for name in named} <= known, rule

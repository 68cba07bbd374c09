"""The matrix of ``benchmarks/`` measures what it says, and reckons rightly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
QUICKLY = ("--seconds", "0.1", "--rounds", "1")


def run(*arguments, status=0):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "matrix.py", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import results  # noqa: PLC0415 - a program's part, not an installed module

    return results


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import cases  # noqa: PLC0415 - as above

    return cases


# -- the rows -----------------------------------------------------------------


def test_the_rows_vary_every_dimension_alone(cases):
    def values(name):
        return {
            getattr(case, name)
            for group in cases.GROUPS.values()
            for case in group.rows.values()
        }

    assert values("store") == set(cases.STORES)
    assert values("way") == {"rest", "frames", "pipelined"}
    assert values("workers") == {1, 2, 4}
    assert {1, 10_000} <= values("queues")
    assert {1_000, 1_000_000} <= values("backlog")
    assert values("identity") == {"none", "cached", "uncached"}
    for group in cases.GROUPS.values():
        base, *others = group.rows.values()
        assert others
        for case in others:
            differences = [
                name for name in vars(case) if vars(case)[name] != vars(base)[name]
            ]
            assert len(differences) == 1, group.title


def test_a_row_is_measured_beside_the_base_of_its_group(cases):
    assert list(cases.chosen(["workers/4"])["workers"].rows) == ["1", "4"]
    assert list(cases.chosen(["workers"])["workers"].rows) == ["1", "2", "4"]
    assert cases.chosen([]) == cases.GROUPS


@pytest.mark.parametrize(
    ("name", "known"), [("worker", "stores, "), ("workers/3", "1, 2, 4")]
)
def test_a_row_that_there_is_not_is_refused_with_those_that_there_are(name, known):
    done = run("--only", name, status=2)
    assert f"--only: no '{name}'; there are {known}" in done.stderr


def test_all_rows_are_listed_under_the_names_that_measure_them(cases):
    listed = run("--list").stdout.split()
    assert "backlog-redis/1000000" in listed
    for name in listed:
        assert cases.chosen([name])


# -- measuring ----------------------------------------------------------------


def figures_of(row, operation):
    figures = row["operations"][operation]
    assert figures["requests_per_second"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    parts = set(figures["cpu_us"]) - {"total"}
    assert set(figures["cores"]) == parts | {"others", "busiest_process"}
    total = sum(figures["cpu_us"][part] for part in parts - {"client"})
    assert figures["cpu_us"]["total"] == pytest.approx(total, abs=0.2)
    return figures


def test_servers_and_redis_are_measured_apart_and_together():
    done = run("--only", "workers/2", *QUICKLY, "--json")
    report = json.loads(done.stdout)
    assert {"date", "cpu", "cores", "kernel", "python", "sqlite", "redis"} <= set(
        report["machine"]
    )
    rows = report["groups"]["workers"]["rows"]
    assert {name: row["case"]["workers"] for name, row in rows.items()} == {
        "1": 1,
        "2": 2,
    }
    for row in rows.values():
        for operation in ("post", "cycle", "list"):
            figures = figures_of(row, operation)
            assert {"server", "redis", "client"} < set(figures["cpu_us"])
    # Of two processes the busier one does not do all of the work.
    cores = rows["2"]["operations"]["cycle"]["cores"]
    assert cores["busiest_process"] < cores["server"]


def test_every_way_to_ask_is_measured_and_printed_as_tables():
    done = run("--only", "transports-sqlite", *QUICKLY)
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    assert lines[0][:2] == ["transports-sqlite:", "Transports,"]
    names = [line[0] for line in lines[1:]]
    ways = ["rest", "frames", "pipelined"]
    assert names == ["post", *ways, "cycle", *ways]


def test_requests_are_spread_over_queues_that_hold_the_backlog():
    done = run("--only", "queues-sqlite/10", *QUICKLY, "--tries", "2", "--json")
    row = json.loads(done.stdout)["groups"]["queues-sqlite"]["rows"]["10"]
    assert row["footprint"]["messages"] == 10 * 10
    assert row["footprint"]["server"] > 10 * 2**20
    for operation in ("post", "cycle", "list", "stats"):
        assert "redis" not in figures_of(row, operation)["cpu_us"]


def test_keystone_is_measured_apart(keystone):  # it can be built
    done = run("--only", "keystone/uncached", *QUICKLY, "--json")
    rows = json.loads(done.stdout)["groups"]["keystone"]["rows"]
    assert "keystone" not in figures_of(rows["none"], "post")["cpu_us"]
    assert figures_of(rows["uncached"], "post")["cpu_us"]["keystone"] > 0


def test_queues_of_a_pool_are_measured():
    done = run("--only", "pools/one", *QUICKLY, "--json")
    rows = json.loads(done.stdout)["groups"]["pools"]["rows"]
    assert rows["one"]["case"]["pooled"]
    assert figures_of(rows["one"], "post")


# -- reckoning ----------------------------------------------------------------


def row(rate, server, redis, *, others=0.0, batch=1):
    cpu = {"server": server, "redis": redis, "client": 9.0, "total": server + redis}
    cores = {"server": 1.0, "redis": 0.5, "client": 0.1, "others": others}
    figures = {
        "requests_per_second": rate,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "cpu_us": cpu,
        "cores": {**cores, "busiest_process": 0.5},
    }
    return {
        "case": {"batch": batch},
        "operations": {"post": figures},
        "footprint": {"messages": 10, "disk": 4096, "server": 2**20},
    }


def test_rows_are_compared_with_the_first_one(results):
    group = {"rows": {"1": row(1000, 80, 20), "2": row(1500, 90, 30)}}
    cells = dict(results.lines(group, "post"))
    shown = dict(zip(results.columns(group), cells["2"], strict=True))
    assert shown == {
        "requests/s": "1,500",
        "p50 ms": "1.00",
        "p99 ms": "2.00",
        "server µs": "90",
        "Redis µs": "30",
        "x rate": "1.50",
        "x CPU": "1.20",
        "cores": "1.60",
        "client": "0.10",
    }


def test_posts_of_several_messages_are_compared_by_message(results):
    group = {"rows": {"1": row(1000, 80, 20), "10": row(500, 200, 300, batch=10)}}
    cells = dict(results.lines(group, "post"))
    shown = dict(zip(results.columns(group), cells["10"], strict=True))
    assert (shown["requests/s"], shown["x rate"], shown["x CPU"]) == (
        "500",
        "5.00",
        "0.50",
    )


def test_rows_of_a_busy_machine_are_marked(results):
    group = {"rows": {"1": row(1, 1, 1), "2": row(1, 1, 1, others=0.5)}}
    assert [name for name, _ in results.lines(group, "post")] == ["1", "2 *"]


def test_a_projection_says_what_machines_carry_and_what_they_need(results):
    told = results.projection(row(1, 100, 20)["operations"]["post"])
    assert (told.server_core, told.redis) == (10_000, 50_000)
    assert (told.rate(1, 4), told.masters(1, 4)) == (40_000, 1)
    assert (told.rate(2, 4), told.masters(2, 4)) == (80_000, 2)


def test_sizes_are_told_by_message_of_large_stores_only(results):
    large = row(1, 1, 1)
    sizes = {"disk": 100_000_000, "memory": 60_000_000, "server": 80 * 2**20}
    large["footprint"] = {"messages": 200_000, **sizes}
    group = {"rows": {"small": row(1, 1, 1), "large": large}}
    ((name, size),) = results.footprints(group)
    assert (name, size.disk, size.memory, size.server) == ("large", 500, 300, 80)


def test_what_is_kept_of_a_day_is_not_lost_when_more_is_measured(
    results, monkeypatch, tmp_path
):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    report = {"machine": {"date": "2026-01-31"}, "settings": {"rounds": 5}}
    results.save({**report, "groups": {"a": 1, "b": 1}})
    path = results.save({**report, "groups": {"b": 2}})
    assert path == tmp_path / "2026-01-31.json"
    assert json.loads(path.read_text())["groups"] == {"a": 1, "b": 2}
    results.save({**report, "settings": {"rounds": 1}, "groups": {"b": 3}})
    assert json.loads(path.read_text())["groups"] == {"b": 3}

"""The table of latencies: it runs, compares what computes the same, and is written up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import latency, latency_sections


def test_a_quick_run_fills_both_sections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, threads = tmp_path / "latency.json", torch.get_num_threads()
    assert latency.main(["--quick", "--out", str(out)]) == 0
    assert torch.get_num_threads() == threads
    results = json.loads(out.read_text(encoding="utf-8"))
    forms = {row["form"] for row in results["linear"]["rows"]}
    assert {"dense", "sparse (this library)", "torch CSR", "SciPy CSR", "rows removed", "dense, again"} <= forms
    for section in results.values():
        for row in section["rows"]:
            assert row["least"] <= row["median"]
            exact = row["form"] not in ("int8, dynamic", "bfloat16")
            assert row["difference"] is None or row["difference"] < (1e-5 if exact else 0.05), row["form"]
    by_form = {(row["form"], row["batch"]): row for row in results["network"]["rows"]}
    masked, sparse = by_form["90% masked", 1], by_form["90% masked, sparse layers", 1]
    assert masked["theoretical"] == sparse["theoretical"] > 9
    page = latency_sections.compressed(results)
    assert "quick run" in page
    assert "| sparse (this library) | 0.1 |" in page
    assert "90% masked, sparse layers" in page


def test_shares_of_gains_are_of_what_counting_promises() -> None:
    assert latency._verdict(10.0, 1.05, 1.0) == "0 % realised"
    assert latency._verdict(10.0, 1.3, 1.4) == "0 % realised", "within the noise"
    assert latency._verdict(5.0, 3.0, 1.0) == "50 % realised"
    assert latency._verdict(1.0, 3.0, 1.0) == ""


def test_a_call_is_timed_when_its_weights_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []

    def form(name: str, first: float, later: float) -> latency.Call:
        def call() -> None:
            now[0] += later if calls[-1:] == [name] else first
            calls.append(name)

        return call

    monkeypatch.setattr("time.thread_time", lambda: now[0])
    seconds = latency._in_turns([form("a", 9.0, 1.0), form("b", 0.00125, 0.001)], 2)
    assert seconds == [[1.0, 1.0], [pytest.approx(0.001)] * 2]
    assert calls == ["a", "a", "b", "b", "b"] * 2

"""The counters are a snapshot, and times are those of tools that ran."""

from trunkline.tools.counters import ToolCounters, ToolTally


def test_refused_calls_do_not_shorten_the_mean() -> None:
    tally = ToolTally()
    assert tally.snapshot(0) == ToolCounters()
    tally.begun += 3
    tally.end("succeeded", 100)
    tally.end("timed_out", 300)
    before = tally.snapshot(1)
    tally.end("refused", 400)
    after = tally.snapshot(2)
    assert after == ToolCounters(calls=3, successes=1, timeouts=1, refused=1, rounds=2, mean_ms=200, max_ms=300)
    assert before.refused == 0

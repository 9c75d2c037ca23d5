"""Where the plugin keeps its record: under any umask, and what it costs when it cannot."""

from __future__ import annotations

import stat

import pytest

from tests.plugin.conftest import Suite, calls_in
from tests.plugin.test_plugin_runs import TWO, TWO_CALLS, report


@pytest.mark.parametrize("umask", ["0", "0o277", "0o777"])
def test_f118_a_record_is_kept_under_any_umask(suite: Suite, pytester: pytest.Pytester, umask: str) -> None:
    """A limit is judged, and others cannot write there."""
    pytester.makeconftest(f"import os\nos.umask({umask})\n")
    done = suite(TWO, "--meter", "--meter-max-calls=5", "--meter-report=json:r.json", alone=True)

    assert done.ret == 0
    assert report(pytester)["run"]["complete"] is True
    assert calls_in(pytester.path / "r.json") == TWO_CALLS
    data = pytester.path / ".token_meter"
    assert [one for one in (data, *data.rglob("*")) if stat.S_IMODE(one.lstat().st_mode) & 0o022] == []


def test_f118_what_a_far_worker_sends_counts_where_no_record_can_be_kept(
    suite: Suite, pytester: pytest.Pytester
) -> None:
    """The controller's disk costs the ledger, neither the tests nor their sums."""
    (pytester.path / "file").write_text("")
    (pytester.path / "there").mkdir()
    pytester.makeconftest(
        "import os, tempfile\n"
        "if os.environ.get('PYTEST_XDIST_WORKER'):\n"
        "    import token_meter.ledger._place as place\n"
        "    place.host_name = lambda: 'far-away'\n"
        "    tempfile.tempdir = os.path.abspath('there')\n"
    )

    done = suite(TWO, "-n1", "--meter-report=json:r.json", "--meter-data=file/x")

    assert done.ret == 0
    assert calls_in(pytester.path / "r.json") == TWO_CALLS
    assert report(pytester)["run"]["complete"] is False
    done.stdout.fnmatch_lines(["token_meter: ledger not written: Not a directory"])

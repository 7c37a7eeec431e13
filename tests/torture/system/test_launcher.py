import os
import signal
import subprocess
import sys
from pathlib import Path

from gatepost.torture.system.launcher import ClockFile, turned


def test_a_clock_is_off_by_what_was_set_and_follows_at_once(tmp_path: Path) -> None:
    file = ClockFile(tmp_path / "clock")
    clock = turned(file.path, lambda: 1000.0)
    assert clock() == 1000.0
    file.set(-86_400.5)
    assert clock() == 1000.0 - 86_400.5
    file.close()


def test_the_command_runs_with_the_turned_clock(tmp_path: Path) -> None:
    file = ClockFile(tmp_path / "clock")
    file.set(10 * 365 * 86_400.0)
    data = tmp_path / "data"
    words = [sys.executable, "-m", "gatepost.torture.system.launcher", str(file.path)]
    done = subprocess.run(
        [*words, "terminal", "status", "--data", str(data)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "no outbox" in done.stderr
    probe = (
        "import sys, time; from gatepost.torture.system import launcher; true = time.time;"
        "launcher.runpy.run_module = lambda *a, **k: print(round((time.time() - true()) / 86400 / 365));"
        "launcher.main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(file.path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=dict(os.environ),
    )
    assert done.stdout == "10\n"
    file.close()


def test_an_end_dies_with_a_kit_that_was_killed(tmp_path: Path) -> None:
    """Both have the same standard output; that it ends says that neither lives any more."""
    kit = (
        "import subprocess, sys; from pathlib import Path;"
        "from gatepost.torture.system.launcher import ClockFile;"
        "file = ClockFile(Path(sys.argv[1]) / 'clock');"
        "words = ['terminal', 'run', '--sn', 'S', '--data', sys.argv[1] + '/d', '--listen', '127.0.0.1:0'];"
        "subprocess.run([sys.executable, '-m', 'gatepost.torture.system.launcher', str(file.path), *words])"
    )
    with subprocess.Popen([sys.executable, "-c", kit, str(tmp_path)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert b"http://" in running.stdout.readline()
        running.send_signal(signal.SIGKILL)
        assert running.stdout.read() == b""

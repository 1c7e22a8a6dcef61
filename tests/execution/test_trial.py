"""One trial in a forked child: every way to go wrong has its status, and nothing is left running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from benchbench.execution import limits, supervisor, variables
from benchbench.execution.cores import Cores, excess
from benchbench.execution.shared_memory import SharedMemory
from benchbench.records import TrialOutcome

pytestmark = pytest.mark.usefixtures("zygotes")


def leftovers() -> list[int]:
    """Return the processes other than zygotes and their keepers that descend from a zygote of ours, or carry its mark."""
    zygotes = {pid for z in [*supervisor._idle, *supervisor._busy] for pid in (z.pid, z._process.pid)}
    marked = [
        pid
        for pid in limits._all_pids()
        if b"BENCHBENCH_ZYGOTE=" in limits._environ(pid) and pid not in zygotes and pid != os.getpid()
    ]
    mine = {z.mark.encode() for z in [*supervisor._idle, *supervisor._busy]}
    return [pid for pid in marked if any(m in limits._environ(pid) for m in mine)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def run(request: dict[str, Any]) -> TrialOutcome:
    outcome = supervisor.execute(request)
    assert leftovers() == []
    return outcome


def test_a_trial_that_does_nothing_is_ok(make_request: Any) -> None:
    outcome = run(make_request("noop"))
    assert outcome.outcome == "ok"
    assert outcome.n_units == len(outcome.unit_scores) == 3
    assert outcome.score == pytest.approx(sum(outcome.unit_scores) / 3)
    assert outcome.environment["torch"].startswith("2.")
    assert set(outcome.phases) >= {"load", "import", "meta_fit", "adapt", "predict", "score"}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_trial_for_a_gpu_is_set_to_repeat(make_request: Any, device: str) -> None:
    """In its own process, and in none that comes after it; no GPU is needed to be asked for one."""
    request = make_request("mirror")
    request["spec"]["device"] = device
    metrics = run(request).metrics
    assert metrics["deterministic"] == (device == "cuda")
    assert metrics["tf32"] == (device == "cpu")


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("python_loop", "timeout", "limit of 0.5 s"),
        ("c_loop", "timeout", "limit of 0.5 s"),
        ("ignore_signals", "timeout", "limit of 0.5 s"),
        ("escape_and_hang", "timeout", "limit of 0.5 s"),
        ("segfault", "crashed", "SIGSEGV"),
        ("exit_hard", "crashed", "exited with code 7"),
        ("exit_zero", "crashed", "exited with code 0 without a result"),
        ("kill_self", "crashed", "SIGKILL"),
        ("forge_result", "crashed", "the trial's process sent an outcome that cannot be read: missing fields: "),
        (
            "forge_point",
            "crashed",
            "curve is [['first', 0.1, 'loss', 1.0]], expected a list of [step, seconds, metric, value]",
        ),
        ("raise_error", "failed", "the loss is NaN"),
        ("raise_keyboard_interrupt", "failed", ""),
        ("raise_system_exit", "failed", "0"),
        ("allocate_at_once", "memory", "Unable to allocate"),
        ("forge_notices", "ok", ""),
        ("escape", "ok", ""),
        ("read_stdin", "ok", ""),
    ],
)
def test_hostile_methods(make_request: Any, how: str, status: str, words: str) -> None:
    limit = 0.5 if status == "timeout" else 60
    outcome = run(make_request("misbehaving", params={"how": how}, time_limit_seconds=limit))
    assert outcome.outcome == status
    assert words in outcome.error_message
    if status == "timeout":
        assert outcome.wall_seconds >= limit


@pytest.mark.parametrize("how", ["allocate", "allocate_in_grandchild"])
def test_memory_limit_holds_for_the_whole_tree(make_request: Any, how: str) -> None:
    outcome = run(make_request("misbehaving", params={"how": how}, memory_limit_mib=400, time_limit_seconds=60))
    assert outcome.outcome == "memory"
    assert 400 < outcome.peak_memory_mib < 1200


def test_shared_pages_of_the_zygote_are_not_counted(make_request: Any) -> None:
    # torch alone is some 250 MiB of anonymous memory that the child shares with its zygote
    request = make_request("sleeper", params={"seconds": 0.3}, memory_limit_mib=200)
    assert run(request).outcome == "ok"


def test_a_flood_of_output_is_cut_and_harms_nobody(make_request: Any) -> None:
    outcome = run(make_request("misbehaving", params={"how": "print_flood"}, time_limit_seconds=60))
    assert outcome.outcome == "ok"
    assert "104857600 bytes were printed" in outcome.log_tail
    assert len(outcome.log_tail) < 20_000


def test_an_escaped_grandchild_is_ended_and_reported(make_request: Any) -> None:
    outcome = run(make_request("misbehaving", params={"how": "escape"}))
    assert "1 processes were left running and were ended" in outcome.log_tail


@pytest.mark.parametrize("how", ["kill_zygote", "escape_and_kill_zygote", "exec_without_environment"])
def test_death_of_the_zygote_is_infra_and_leaves_nothing(
    make_request: Any, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = make_request("misbehaving", params={"how": how}, time_limit_seconds=60)
    supervisor.abort_all()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run(make_request("noop"))
    (zygote,) = supervisor._idle
    outcome = supervisor.execute(request)
    assert outcome.outcome == "infra"
    assert "killed by signal 9" in outcome.error_message
    assert not [pid for pid in limits._all_pids() if zygote.mark.encode() in limits._environ(pid)]
    assert not [pid for pid in limits._all_pids() if b"benchbench-orphan" in command_line(pid)]
    # the kernel's out-of-memory killer does this, and a method's files may be large
    assert list(tmp_path.iterdir()) == []
    assert run(make_request("noop")).outcome == "ok"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("nan", "NaN"),
        ("shape", "shape"),
        ("not_normalised", "sum to 1"),
        ("negative", "lie in"),
        ("none", "shape"),
        ("text", "not numbers"),
    ],
)
def test_predictions_that_break_the_contract_fail(make_request: Any, how: str, words: str) -> None:
    request = make_request("bad_predictions", params={"how": how}, loader="glyphs", options={"way": 3, "shot": 1})
    outcome = run(request)
    assert outcome.outcome == "failed"
    assert outcome.error_type == "ProtocolViolation"
    assert words in outcome.error_message


def test_declining_is_no_failure(make_request: Any) -> None:
    outcome = run(make_request("declining"))
    assert (outcome.outcome, outcome.error_message) == ("declined", "not today")


@pytest.mark.parametrize("how", ["declined", "data_missing", "cluster"])
def test_what_a_method_raises_is_its_failure(make_request: Any, how: str) -> None:
    outcome = run(make_request("excused", params={"how": how}))
    assert (outcome.outcome, outcome.error_message) == ("failed", "an excuse after training began")


def test_a_broken_constructor_has_its_traceback(make_request: Any) -> None:
    outcome = run(make_request("broken_constructor"))
    assert outcome.outcome == "failed"
    assert "hostile.py" in outcome.traceback


def test_points_reported_before_a_timeout_survive_it(make_request: Any) -> None:
    outcome = run(make_request("reporter", time_limit_seconds=0.5))
    assert outcome.outcome == "timeout"
    assert [(p.step, p.metric, p.value) for p in outcome.curve] == [(1, "accuracy", 0.5), (2, "accuracy", 0.75)]


def test_other_data_than_planned_are_refused(make_request: Any) -> None:
    request = make_request("noop") | {"fingerprint": "of something else"}
    outcome = run(request)
    assert outcome.outcome == "infra"
    assert "fingerprint" in outcome.error_message


def test_environment_of_a_trial(make_request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor.abort_all()
    for name in ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "UV_INDEX_URL", "LICENCE_OF_A_SOLVER", "LC_TIME"):
        monkeypatch.setenv(name, "C")
    monkeypatch.setenv("BENCHBENCH_PASS_ENV", "OTHER, LICENCE_OF_A_SOLVER")
    outcome = run(make_request("show_environment", threads=2))
    supervisor.abort_all()
    log = outcome.log_tail
    seen = set(log.partition("seen=[")[2].partition("]")[0].replace("'", "").split(", "))
    assert seen >= {"PATH", "TMPDIR", "OMP_NUM_THREADS", "LC_TIME", "LICENCE_OF_A_SOLVER", "BENCHBENCH_METHODS"}
    assert not seen & {"AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "UV_INDEX_URL"}
    assert "threads=2" in log
    assert "CUDA_VISIBLE_DEVICES=''" in log
    assert "device=cpu" in log
    scratch = log.partition("cwd=")[2].split()[0]
    assert "benchbench-" in scratch
    assert not Path(scratch).exists()


def test_aborting_ends_the_running_trial(make_request: Any) -> None:
    found: list[TrialOutcome] = []
    request = make_request("sleeper", params={"seconds": 600})
    thread = threading.Thread(target=lambda: found.append(supervisor.execute(request)))
    thread.start()
    while not any(limits.descendants(z.pid) for z in list(supervisor._busy)):
        time.sleep(0.01)
    supervisor.abort_all()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert found[0].outcome == "infra"
    assert leftovers() == []


def test_kill_of_the_zygote_from_outside(make_request: Any) -> None:
    found: list[TrialOutcome] = []
    request = make_request("misbehaving", params={"how": "escape_and_hang"})
    thread = threading.Thread(target=lambda: found.append(supervisor.execute(request)))
    thread.start()
    while not any(len(limits.descendants(z.pid)) > 1 for z in list(supervisor._busy)):
        time.sleep(0.01)
    (zygote,) = supervisor._busy
    os.kill(zygote.pid, signal.SIGKILL)
    thread.join(timeout=20)
    assert found[0].outcome == "infra"
    assert not [pid for pid in limits._all_pids() if zygote.mark.encode() in limits._environ(pid)]
    assert not Path(zygote._scratch).exists()


def test_a_chain_of_forks_does_not_outrun_its_end() -> None:
    """Each process of the chain forks the next and ends; one is always there, and it is younger than the last look at /proc."""
    code = (
        "import os, time\n"
        "until = time.monotonic() + 60\n"
        "while time.monotonic() < until:\n"
        "    time.sleep(0.001)\n"
        "    if os.fork():\n"
        "        os._exit(0)\n"
        "    os.setsid()\n"
    )
    mark = f"BENCHBENCH_TEST={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    first = subprocess.Popen([sys.executable, "-S", "-c", code], env={**os.environ, name: value})
    first.wait(timeout=20)
    limits.kill_marked(mark)
    seen = 0
    for _ in range(50):
        seen += any(mark.encode() in limits._environ(pid) for pid in limits._all_pids())
        time.sleep(0.002)
    assert seen == 0


NUMBERS = """{
    "np32": np.float32(0.5), "np_int": np.int64(7), "np_bool": np.bool_(True), "bool": True, "np_0d": np.array(0.25),
    "torch": torch.tensor(0.5, requires_grad=True), "torch_int": torch.tensor(3), "decimal": decimal.Decimal("0.1"),
    "fraction": fractions.Fraction(1, 4), "int": 10**300, "nan": float("nan"), "huge": np.float32("inf"),
}"""


def test_numbers_of_any_library_are_metrics(make_request: Any) -> None:
    outcome = run(make_request("odd", params={"metrics": NUMBERS}))
    assert outcome.outcome == "ok", outcome.error_message
    assert outcome.metrics == {
        "np32": 0.5,
        "np_int": 7.0,
        "np_bool": 1.0,
        "bool": 1.0,
        "np_0d": 0.25,
        "torch": 0.5,
        "torch_int": 3.0,
        "decimal": 0.1,
        "fraction": 0.25,
        "int": 1e300,
    }
    assert set(outcome.remarks) == {"nan is nan: not recorded", "huge is inf: not recorded"}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"metrics": "{'backbone': 'conv4'}"}, "metric 'backbone' of metrics() of method 'odd' is 'conv4' (str)"),
        ({"metrics": "None"}, "metrics() of method 'odd' returned None, expected numbers by name"),
        ({"metrics": "[1.0]"}, "returned list"),
        ({"metrics": "{1: 2.0}"}, "a name of type int, expected str"),
        ({"metrics": "{'x' * 10**7: 1}"}, "a name of 10000000 characters"),
        ({"metrics": "{'big': 10**400}"}, "metric 'big' of metrics() of method 'odd' cannot be read as a number: int"),
        ({"metrics": "{'a': torch.ones(2)}"}, "is torch.Tensor of shape (2,), expected a number"),
        ({"metrics": "{'log_loss': 0.0}"}, "returned log_loss, which the harness records itself"),
        ({"report": "lambda context: context.report('first', loss=1)"}, "the step of a report is 'first' (str)"),
        ({"report": "lambda context: context.report(2**70, loss=1)"}, "the step of a report has 71 bits"),
        ({"report": "lambda context: context.report(1, loss='low')"}, "metric 'loss' of a report is 'low' (str)"),
        ({"report": "lambda context: context.progress('half', 1)"}, "what is done is 'half' (str)"),
        ({"error": "Unreadable()"}, "its message cannot be read: str() raised SystemExit"),
        ({"error": "type('a' * 10**6, (BaseException,), {})('b\\ud800\\0')"}, "b\ud800\0"),
        ({"error": "RuntimeError('x' * 10**8)"}, "xxx"),
    ],
)
def test_whatever_a_method_returns_or_raises_fails_its_trial_alone(
    make_request: Any, params: dict[str, str], words: str
) -> None:
    outcome = run(make_request("odd", params=params))
    assert outcome.outcome == "failed"
    assert words in outcome.error_message
    assert len(outcome.error_message) <= 4000
    assert "hostile.py" in outcome.traceback or "benchbench/" in outcome.traceback


@pytest.mark.parametrize(
    "code",
    [
        "signal.signal(signal.SIGALRM, lambda *_: sys.exit(1)); signal.setitimer(signal.ITIMER_REAL, 5.0, 0.01)",
        "sys.modules[''] = sys.modules[3] = object(); sys.modules['odd_one'] = object()",
    ],
)
def test_what_a_method_leaves_in_its_process_does_not_end_it(make_request: Any, code: str) -> None:
    assert run(make_request("odd", params={"after": code})).outcome == "ok"


def test_a_score_that_is_not_finite_is_a_failure(make_request: Any) -> None:
    outcome = run(make_request("huge"))
    assert (outcome.outcome, outcome.error_type) == ("failed", "ProtocolViolation")
    assert "the neg_mse of 3 of 3 episodes is not finite (episode 0 is -inf)" in outcome.error_message


def test_millions_of_reports_are_thinned_out(make_request: Any) -> None:
    report = "lambda context: [context.report(i, loss=i, b=0.5) for i in range(300_000)] and context.report(7, other=1)"
    outcome = run(make_request("odd", params={"report": report}, time_limit_seconds=300))
    assert outcome.outcome == "ok", outcome
    steps = [point.step for point in outcome.curve if point.metric == "loss"]
    assert steps[:10_000] == list(range(10_000))
    assert steps == sorted(steps)
    assert 10_000 < len(steps) < 50_000
    assert steps[-1] > 299_000
    assert outcome.curve[-1].metric == "other"
    assert outcome.remarks == ("curve of loss, b: more than 10,000 reports; the later ones are thinned out",)


def test_a_trial_has_as_many_processors_as_its_budget(make_request: Any) -> None:
    request = make_request("misbehaving", params={"how": "use_two_processors"}, time_limit_seconds=60)
    outcome = run(request)
    assert outcome.outcome == "ok"
    assert "bound to 1 processors" in outcome.log_tail
    assert outcome.cpu_seconds < 1.1 * outcome.wall_seconds
    assert outcome.remarks == ()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_trials_side_by_side_have_other_processors_and_no_more_than_there_are() -> None:
    n = len(os.sched_getaffinity(0))
    held = [Cores(1) for _ in range(n)]
    try:
        free = [one.numbers for one in held if one.numbers]
        # other tests may run trials meanwhile
        assert len(set(free)) == len(free)
        assert Cores(n).numbers == Cores(n + 1).numbers == ()
    finally:
        for one in held:
            one.free()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_more_processors_than_the_budget_are_a_remark(make_request: Any) -> None:
    assert excess(2, cpu_seconds=21.0, wall_seconds=10.0) == ""
    assert excess(1, 18.5, 10.0) == "used 1.85 processors on average; its budget has 1"
    outcome = run(make_request("misbehaving", params={"how": "take_all_processors"}, time_limit_seconds=60))
    assert outcome.outcome == "ok"
    if outcome.cpu_seconds > 1.2 * outcome.wall_seconds + 0.5:
        assert "processors on average; its budget has 1" in outcome.remarks[0]


@pytest.mark.parametrize("how", ["fill_shared_folder", "fill_memfd"])
def test_files_in_memory_count_and_do_not_stay(make_request: Any, how: str) -> None:
    request = make_request("misbehaving", params={"how": how}, memory_limit_mib=400, time_limit_seconds=60)
    outcome = run(request)
    assert (outcome.outcome, outcome.error_type) == ("memory", "")
    assert 400 < outcome.peak_memory_mib < 700
    assert not list(Path("/dev/shm").glob("benchbench-test-*"))


def test_shared_tensors_count_once(make_request: Any) -> None:
    """300 MiB in two processes: counted as file and as pages, or once per process, it would be too much.

    Beside it there are the two shares of what the processes inherited, up to 90 MiB each.
    """
    request = make_request("misbehaving", params={"how": "share_tensors"}, memory_limit_mib=560, time_limit_seconds=60)
    outcome = run(request)
    assert outcome.outcome == "ok", outcome.error_message
    assert 300 < outcome.peak_memory_mib < 560


def test_the_scratch_folder_has_a_limit(make_request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor.abort_all()
    monkeypatch.setenv("BENCHBENCH_SCRATCH_LIMIT_MIB", "10")
    outcome = run(make_request("misbehaving", params={"how": "fill_scratch"}, time_limit_seconds=60))
    supervisor.abort_all()
    monkeypatch.setenv("BENCHBENCH_SCRATCH_LIMIT_MIB", "much")
    wrong = run(make_request("sleeper", params={"seconds": 1.5}))
    supervisor.abort_all()
    assert (wrong.outcome, wrong.error_type) == ("failed", "InputError")
    assert (outcome.outcome, outcome.error_type) == ("failed", "ScratchLimit")
    assert "MiB in its scratch folder; the limit of this host is 10 MiB" in outcome.error_message


def test_without_mounts_of_its_own_what_a_trial_holds_open_is_counted_and_removed() -> None:
    """As on hosts whose kernel has no user namespaces; files of others stay."""
    other = Path(f"/dev/shm/benchbench-test-other-{os.getpid()}")
    other.write_bytes(b"x" * 2**20)
    name = f"/dev/shm/benchbench-test-{uuid.uuid4().hex}"
    code = f"import time\nfile = open({name!r}, 'wb')\nfile.write(b'x' * 8 * 2**20)\nfile.flush()\nprint(flush=True)\ntime.sleep(60)"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
    try:
        watched = SharedMemory(process.pid)
        assert process.stdout is not None
        process.stdout.readline()
        assert watched.files_mib([process.pid]) == pytest.approx(8.0, abs=0.1)
        process.kill()
        process.wait()
        assert watched.files_mib([]) == pytest.approx(8.0, abs=0.1)
        watched.remove()
        assert not Path(name).exists()
        assert other.exists()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        other.unlink()


def test_the_page_names_every_variable_that_trials_see() -> None:
    page = (Path(__file__).parents[2] / "docs" / "threat-model.md").read_text()
    listed = page.partition("A trial sees only these:")[2].partition("So keys of clouds")[0]
    words = set(re.findall(r"[A-Z][A-Z_]+", listed))
    assert words == {*variables.EXACTLY, *variables.PREFIXES}

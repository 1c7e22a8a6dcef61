"""Few-shot methods that misbehave in every way the harness must survive; used through BENCHBENCH_METHODS."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import FewShotAdapter, Predictor


class Mean(Predictor):
    """Predicts uniform probabilities, or zeros."""

    def __init__(self, n_way: int) -> None:
        self.n_way = n_way

    def predict(self, query_x: Any) -> Any:
        import numpy as np

        return np.full((len(query_x), self.n_way), 1 / self.n_way if self.n_way > 1 else 0.0)


def hostile_card(name: str, **more: Any) -> MethodCard:
    defaults: dict[str, Any] = {
        "name": name,
        "track": "fewshot",
        "title": name,
        "summary": "A method for tests.",
        "paper": "none",
        "url": "https://example.invalid",
        "year": 2026,
        "tasks": ("classification", "regression"),
        "devices": ("cpu", "cuda"),
    }
    return MethodCard(**{**defaults, **more})


class Noop(FewShotAdapter):
    card: ClassVar[MethodCard] = hostile_card("noop")

    def adapt(self, support: Any) -> Predictor:
        return Mean(support.n_way)


class Mirror(Noop):
    """Says what torch is set to in its trial."""

    card: ClassVar[MethodCard] = hostile_card("mirror")

    def metrics(self) -> dict[str, float]:
        import torch

        return {
            "deterministic": float(torch.backends.cudnn.deterministic),
            "tf32": float(torch.backends.cudnn.allow_tf32),
        }


class Sleeper(Noop):
    card: ClassVar[MethodCard] = hostile_card("sleeper")

    def __init__(self, seconds: float = 1.0, busy: bool = False) -> None:
        self.seconds, self.busy = seconds, busy

    def meta_fit(self, episodes: Any, **kwargs: Any) -> None:
        if not self.busy:
            time.sleep(self.seconds)
        until = time.process_time() + self.seconds
        while self.busy and time.process_time() < until:
            pass


class Pacer(Noop):
    """Says at every step how far it is."""

    card: ClassVar[MethodCard] = hostile_card("pacer")

    def meta_fit(self, episodes: Any, *, context: Any, **kwargs: Any) -> None:
        for step in range(50):
            time.sleep(0.1)
            context.progress(step + 1, 50)

    def adapt(self, support: Any) -> Predictor:
        time.sleep(0.7)
        return super().adapt(support)


class Reporter(Noop):
    """Reports two points, then sleeps for ever."""

    card: ClassVar[MethodCard] = hostile_card("reporter")

    def meta_fit(self, episodes: Any, *, context: Any, **kwargs: Any) -> None:
        context.report(1, accuracy=0.5)
        context.report(2, accuracy=0.75)
        time.sleep(600)


class Misbehaving(Noop):
    """Does what its parameter says while it is meta-trained."""

    card: ClassVar[MethodCard] = hostile_card("misbehaving")

    def __init__(self, how: str = "python_loop") -> None:
        self.how = how

    def meta_fit(self, episodes: Any, **kwargs: Any) -> None:
        getattr(self, f"do_{self.how}")()

    def do_python_loop(self) -> None:
        while True:
            pass

    def do_c_loop(self) -> None:
        import re

        re.match(r"(a+)+$", "a" * 60 + "b")

    def do_ignore_signals(self) -> None:
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(sign, signal.SIG_IGN)
        self.do_python_loop()

    def do_allocate(self) -> None:
        import numpy as np

        held = []
        while True:
            held.append(np.ones(8 * 2**20 // 8))
            time.sleep(0.001)

    def do_allocate_in_grandchild(self) -> None:
        code = "import time\nh = []\nwhile True:\n    h.append(bytearray(8 * 2**20)); time.sleep(0.001)"
        subprocess.run([sys.executable, "-c", code], check=False)

    def do_allocate_at_once(self) -> None:
        import numpy as np

        np.ones(2**50)

    def do_segfault(self) -> None:
        ctypes.string_at(0)

    def do_exit_hard(self) -> None:
        os._exit(7)

    def do_exit_zero(self) -> None:
        os._exit(0)

    def do_kill_self(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def do_forge_result(self) -> None:
        self._forge({"result": {"outcome": "ok", "score": 1.0}})
        os._exit(0)

    def do_forge_point(self) -> None:
        from benchbench.records import TrialOutcome

        self._forge({"point": ["first", 0.1, "loss", 1.0]}, {"result": TrialOutcome(outcome="ok", score=1.0).to_wire()})
        os._exit(0)

    def do_forge_notices(self) -> None:
        self._forge(
            {"limit": ["fit", "soon", None]},
            {"limit": 3},
            {"progress": ["half", 1]},
            {"progress": "abc"},
            {"limit": {}},
        )

    def _forge(self, *messages: Any) -> None:
        """Speak for the harness, on every pipe of the process but its output."""
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                is_pipe = fd > 2 and str(Path(f"/proc/self/fd/{fd}").readlink()).startswith("pipe:")
            except OSError:
                continue  # the folder's own
            if is_pipe:
                os.write(fd, b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def do_raise_error(self) -> None:
        raise RuntimeError("the loss is NaN")

    def do_raise_keyboard_interrupt(self) -> None:
        raise KeyboardInterrupt

    def do_interrupt_self(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def do_raise_system_exit(self) -> None:
        sys.exit(0)

    def do_print_flood(self) -> None:
        line = "x" * 1023 + "\n"
        for _ in range(100 * 1024):
            sys.stdout.write(line)

    def do_kill_zygote(self) -> None:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)

    def do_escape(self) -> None:
        """Leave a grandchild behind: forked twice, in a session of its own, deaf to SIGTERM."""
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(600)
            os._exit(0)
        os.wait()

    def do_escape_and_hang(self) -> None:
        self.do_escape()
        time.sleep(600)

    def do_escape_and_kill_zygote(self) -> None:
        self.do_escape()
        self.do_kill_zygote()

    def do_exec_without_environment(self) -> None:
        """Leave a program behind that has no environment, in a session of its own, and kill the zygote."""
        code = "import time\ntime.sleep(600)"
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", code, "benchbench-orphan"], env={}, start_new_session=True
        )
        while b"benchbench-orphan" not in Path(f"/proc/{child.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        self.do_kill_zygote()

    def do_fill_shared_folder(self, mib: int = 600) -> None:
        """Write into /dev/shm, close the file and hold nothing of it."""
        with Path(f"/dev/shm/benchbench-test-{os.getpid()}").open("wb") as file:
            for _ in range(mib // 8):
                file.write(b"x" * 8 * 2**20)
                time.sleep(0.004)
        time.sleep(1.0)

    def do_fill_memfd(self) -> None:
        fd = os.memfd_create("benchbench-test")
        for _ in range(600 // 8):
            os.write(fd, b"x" * 8 * 2**20)
            time.sleep(0.004)
        time.sleep(1.0)

    def do_share_tensors(self) -> None:
        """Share 300 MiB with another process, a tensor and a semaphore as well."""
        import multiprocessing

        import numpy as np
        import torch

        shared = np.memmap("/dev/shm/benchbench-test-shared", np.uint8, "w+", shape=(300 * 2**20,))
        tensor, lock = torch.ones(3).share_memory_(), multiprocessing.get_context("fork").Semaphore()
        shared[:] = 1
        if os.fork() == 0:
            with lock:
                shared += 1
                tensor.add_(1)
            time.sleep(1.0)
            os._exit(0)
        os.wait()
        assert (shared[0], float(tensor[0])) == (2, 2.0)

    def do_fill_scratch(self) -> None:
        for i in range(30):
            Path(f"file-{i}").write_bytes(b"x" * 2 * 2**20)
            time.sleep(0.1)

    def do_use_two_processors(self) -> None:
        self.spin(4)

    def do_take_all_processors(self) -> None:
        """Leave the processors that it was bound to."""
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        self.spin(4)

    def spin(self, n: int) -> None:
        print(f"bound to {len(os.sched_getaffinity(0))} processors: {sorted(os.sched_getaffinity(0))}")
        code = "import time\nuntil = time.monotonic() + 3\nwhile time.monotonic() < until: pass"
        for process in [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(n)]:
            process.wait()

    def do_read_stdin(self) -> None:
        sys.stdin.read()

    def do_nothing(self) -> None:
        return


class BadPredictions(Noop):
    """Predicts what its parameter says."""

    card: ClassVar[MethodCard] = hostile_card("bad_predictions")

    def __init__(self, how: str = "nan") -> None:
        self.how = how

    def adapt(self, support: Any) -> Predictor:
        outer = self

        class Bad(Predictor):
            def predict(self, query_x: Any) -> Any:
                import numpy as np

                good = np.full((len(query_x), support.n_way), 1 / support.n_way)
                return {
                    "nan": good * np.nan,
                    "shape": good[:, :-1],
                    "not_normalised": good * 3,
                    "negative": good - 1.0,
                    "none": None,
                    "text": "surely class 0",
                }[outer.how]

        return Bad()


class Declining(Noop):
    card: ClassVar[MethodCard] = hostile_card("declining")

    def supports(self, task: Any) -> str | None:
        return "not today"


class Excused(Noop):
    """Begins to train, and then says in the platform's own words that it does not count."""

    card: ClassVar[MethodCard] = hostile_card("excused")

    def __init__(self, how: str = "declined") -> None:
        self.how = how

    def meta_fit(self, train: Any, **more: Any) -> None:
        from benchbench.errors import ClusterError, DataMissingError
        from benchbench.protocols.base import Declined

        errors = {"declined": Declined, "data_missing": DataMissingError, "cluster": ClusterError}
        raise errors[self.how]("an excuse after training began")


class BrokenConstructor(Noop):
    card: ClassVar[MethodCard] = hostile_card("broken_constructor")

    def __init__(self) -> None:
        raise ValueError("this method cannot be made")


class ShowEnvironment(Noop):
    """Prints what the harness set for it."""

    card: ClassVar[MethodCard] = hostile_card("show_environment")

    def meta_fit(self, episodes: Any, *, context: Any, **kwargs: Any) -> None:
        import torch

        for name in ("CUDA_VISIBLE_DEVICES", "TMPDIR", "OMP_NUM_THREADS"):
            print(f"{name}={os.environ.get(name)!r}")
        print(f"seen={sorted(os.environ)}")
        print(f"threads={torch.get_num_threads()}")
        print(f"cwd={os.getcwd()}")
        print(f"device={context.device}")


class Unreadable(Exception):
    """An exception whose text cannot be had; its class has an odd name as well."""

    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class Odd(Noop):
    """Returns, reports or raises what its parameter says."""

    card: ClassVar[MethodCard] = hostile_card("odd")

    def __init__(self, metrics: str = "{}", report: str = "", error: str = "", after: str = "") -> None:
        self.texts = {"metrics": metrics, "report": report, "error": error, "after": after}

    def meta_fit(self, episodes: Any, *, context: Any, **kwargs: Any) -> None:
        if self.texts["after"]:
            exec(self.texts["after"], {"os": os, "signal": signal, "sys": sys})
        if self.texts["report"]:
            self.value("report")(context)
        if self.texts["error"]:
            raise self.value("error")

    def metrics(self) -> Any:
        return self.value("metrics")

    def value(self, which: str) -> Any:
        import decimal
        import fractions

        import numpy as np
        import torch

        names = {"np": np, "torch": torch, "decimal": decimal, "fractions": fractions, "Unreadable": Unreadable}
        return eval(self.texts[which], names)


class Huge(Noop):
    """Predicts finite values that are too large to be scored."""

    card: ClassVar[MethodCard] = hostile_card("huge")

    def adapt(self, support: Any) -> Predictor:
        class Far(Predictor):
            def predict(self, query_x: Any) -> Any:
                import numpy as np

                return np.full((len(query_x), 1), 1e200)

        return Far()

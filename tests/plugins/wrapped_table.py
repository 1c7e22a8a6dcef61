"""Adapters for tables that live in an environment of their own; tests put one in place."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.contracts.context import Context

FILLER = """
import time
held = []
for _ in range({mib} // 8):
    held.append(bytearray(8 * 2**20))
    time.sleep(0.001)
time.sleep(5)
"""

JAVA_FILLER = """
import java.util.ArrayList;
import java.util.Arrays;

public class Filler {
    public static void main(String[] args) throws Exception {
        ArrayList<byte[]> held = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(args[0]) / 8; i++) {
            byte[] part = new byte[8 * 1024 * 1024];
            Arrays.fill(part, (byte) 1);
            held.add(part);
        }
        Thread.sleep(5000);
    }
}
"""


def wrapped_card(name: str, requirements: str = "wrapped.txt") -> MethodCard:
    return MethodCard(
        name=name,
        track="automl",
        title=name,
        summary="For tests.",
        paper="none",
        url="",
        year=2026,
        tasks=KINDS,
        requirements=requirements,
    )


class Wrapped(AutoMLAdapter):
    """Predicts class frequencies, or the mean; misbehaves in `fit` as its parameter says."""

    card: ClassVar[MethodCard] = wrapped_card("wrapped")

    def __init__(self, *, how: str = "nothing") -> None:
        self.how = how

    def supports(self, info: TableInfo) -> str | None:
        return "not today" if self.how == "decline" else super().supports(info)

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        super().setup(info, budget=budget, context=context)
        print(f"executable={sys.executable}", flush=True)
        print(f"threads={os.environ['OMP_NUM_THREADS']} {budget.threads} {context.threads}", flush=True)
        print(f"cwd={os.getcwd()} scratch={context.scratch} left={context.seconds_left():.0f}", flush=True)
        print(f"ours={sorted(n for n in sys.modules if n.startswith('benchbench'))}", flush=True)

    def fit(self, rows: Any, target: Any) -> None:
        import numpy as np

        self.seen = (rows, target)
        if self.info.kind == "regression":
            self.answer: Any = np.array([float(target.mean())])
        else:
            self.answer = np.bincount(target.cat.codes, minlength=len(self.info.classes)) / len(target)
        self.context.report(1, loss=0.5)
        getattr(self, f"do_{self.how}")()

    def predict(self, rows: Any) -> Any:
        import numpy as np

        if self.how == "named":
            return np.array([self.info.classes[0]] * len(rows), dtype=object)
        first = self.answer[0] if self.info.kind == "regression" else int(self.answer.argmax())
        return np.full(len(rows), first)

    def predict_proba(self, rows: Any) -> Any:
        import numpy as np

        if self.how == "no_probabilities":
            raise NotImplementedError
        found = np.tile(self.answer, (len(rows), 1))
        if self.how != "named":
            return found
        import pandas as pd

        return pd.DataFrame(found, columns=list(self.info.classes)).iloc[:, ::-1]

    def metrics(self) -> Any:
        import numpy as np

        found = {"metrics_text": {"backbone": "conv4"}, "metrics_none": None}
        return found.get(self.how, {"n_rows": np.float32(len(self.seen[0])), "is_fast": np.bool_(True)})

    def close(self) -> None:
        print("closed", flush=True)
        if self.how == "close_hangs":
            time.sleep(600)

    def do_nothing(self) -> None:
        return

    def do_named(self) -> None:
        return

    def do_decline(self) -> None:
        return

    def do_no_probabilities(self) -> None:
        return

    def do_close_hangs(self) -> None:
        return

    do_metrics_text = do_metrics_none = do_nothing

    def do_raise_unreadable(self) -> None:
        class Unreadable(BaseException):
            def __str__(self) -> str:
                raise SystemExit(3)

        raise Unreadable

    def do_report_text(self) -> None:
        self.context.report(1, loss="low")  # type: ignore[arg-type]

    def do_report_often(self) -> None:
        for i in range(30_000):
            self.context.report(i, accuracy=0.5)

    def do_describe(self) -> None:
        rows, target = self.seen
        for name in rows.columns:
            column = rows[name]
            more = list(column.cat.categories) if column.dtype == "category" else ""
            values = [None if v != v or v is None else v for v in column.tolist()]
            print(f"column {name}: {column.dtype} {more} {values}", flush=True)
        print(f"target {target.name}: {target.dtype} {target.tolist()[:3]}", flush=True)
        print(f"index {rows.index.tolist()} {target.index.tolist()}", flush=True)

    def do_raise_error(self) -> None:
        sys.stderr.write("a last word\n")
        raise ArithmeticError("the loss is NaN")

    def do_raise_memory_error(self) -> None:
        import numpy as np

        np.ones(2**50)

    def do_exit(self) -> None:
        sys.exit(3)

    def do_exit_hard(self) -> None:
        sys.stderr.write("a last word\n")
        os._exit(7)

    def do_segfault(self) -> None:
        ctypes.string_at(0)

    def do_kill_self(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def do_kill_self_with_fork(self) -> None:
        """Die while a forked process still holds the socket."""
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        self.do_kill_self()

    def do_fork_and_return(self) -> None:
        """A forked process comes back out of `fit` as well."""
        os.fork()

    def do_sleep(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)

    def do_allocate(self) -> None:
        """Take twice what the budget allows, hold it for a while, and go on as if nothing were wrong."""
        exec(FILLER.format(mib=2 * self.budget.memory_mib))

    def do_allocate_in_grandchild(self) -> None:
        code = FILLER.format(mib=2 * self.budget.memory_mib)
        subprocess.run([sys.executable, "-c", code], check=False, start_new_session=True)

    def do_allocate_in_java(self) -> None:
        """The same in a Java program that has left the process group, as H2O's server may."""
        source = self.context.scratch / "Filler.java"
        source.write_text(JAVA_FILLER)
        mib = 2 * self.budget.memory_mib
        subprocess.Popen(["java", f"-Xmx{2 * mib}m", str(source), str(mib)], start_new_session=True).wait()

    def do_leave_grandchild(self) -> None:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)


class Unbuildable(Wrapped):
    card: ClassVar[MethodCard] = wrapped_card("unbuildable", "unbuildable.txt")

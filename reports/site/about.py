"""What the numbers of a site mean, with the references.

Statistics have the names that `STATISTICS` has titles for.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ABOUT"]

ABOUT: dict[str, Any] = {
    "sections": (
        (
            "What counts",
            (
                "Of each trial (suite, task, method with its parameters, seed or fold, budget) exactly one attempt: the newest that"
                " was not lost with its worker, of the newest source of the method. Everything else is history and never part of n.",
                "A leaderboard holds results with equal suite version, protocol version, preset, test units, threads and device, and with"
                " one fingerprint of the data per task. What does not fit is listed as left out.",
            ),
        ),
        (
            "Scores and intervals",
            (
                "Scores are higher-is-better; neg_mse is minus the mean squared error, neg_loss minus the loss.",
                "On one task, ± is the half-width of a 95 % interval by Student's t: over test episodes with one seed (it says how well"
                " this trained model is known), over the seeds' means with several, over folds where a task has folds. Of a whole"
                " suite, the intervals beside a statistic come from a bootstrap over its tasks: they say how far the number would move"
                " with other tasks of the same kind.",
                "≈ marks the methods that a paired test does not distinguish from the first. Of a whole suite the first is in bold only"
                " where the test distinguishes it from every other method; on one task the best score, only where it exceeds every"
                " other one by more than both intervals together.",
            ),
        ),
        (
            "Failures, declined tasks, imputation",
            (
                "A trial that failed, crashed or hit a limit is counted as failed, and a score is imputed by the policy that the"
                " leaderboard names: the suite's frozen baseline score (baseline), the scores of a named method (baseline=NAME), the lowest"
                " score on the task (worst), or nothing (none). By drop-task the task is taken out for all. The share of imputed"
                " scores is shown; a score with an imputed part has no ±. A method whose every trial failed is not ranked.",
                "A method that declines a task (it cannot handle the kind) did not fail. Nothing is imputed; it is compared with each"
                " other method on the tasks that both have.",
            ),
        ),
        (
            "Seconds",
            (
                "Timed seconds of training and prediction; loading of data and scoring are not in them. Where the machines differ, the"
                " leaderboard says so, and seconds must not be compared.",
            ),
        ),
        (
            "Marks",
            (
                "(t): transductive, a prediction uses the other queries of its episode. (s): the seconds hold training done once in"
                " another trial. (i): imputed, wholly or in part; with a figure the share. D: declined. F: failed.",
            ),
        ),
    ),
    "statistics": (
        (
            "rank",
            "Mean over tasks of the rank, 1 = best, ties sharing their mean rank. Where methods lack tasks, each pair is compared on"
            " the tasks that both have.",
        ),
        (
            "winrate",
            "Mean over the other methods of the share of common tasks on which the method scores higher; ties count half.",
        ),
        (
            "norm",
            "Mean over tasks of (score - baseline) / (reference - baseline). Both ends are frozen in the suite's file, so that the"
            " number does not move when methods come or go.",
        ),
        (
            "improvability",
            "Mean over tasks of (error - best error) / error: by how much of its error a method could be improved by taking the best"
            " one in its place. 0 = no method is better. (Erickson et al. 2025, TabArena, arXiv:2506.16791.)",
        ),
        (
            "elo",
            "Ratings of the Bradley-Terry model by maximum likelihood over all pairs of methods on all tasks, ties as half a win of each,"
            " with a weak prior of imagined draws that keeps all-time winners finite; mean 1000, 400 points a factor of ten in the odds"
            " of winning. Of the bootstrap the ratings are fitted again in each resample. (Bradley and Terry 1952,"
            " doi:10.2307/2334029; Elo 1978; Hunter 2004, doi:10.1214/aos/1079120141.)",
        ),
        (
            "tierank",
            "Mean over tasks of ranks that methods share whose scores differ by no more than the root of the sum of both squared"
            " half-widths of their 95 % intervals. (Triantafillou et al. 2020, Meta-Dataset, arXiv:1903.03096.)",
        ),
        ("mrr", "Mean over tasks of 1 / rank: rewards being first more than not being last."),
        (
            "Critical differences",
            "Friedman's test asks whether any method differs from the others in mean rank; by Nemenyi's test two methods differ if their"
            " mean ranks are at least the critical difference apart. Methods that a bar joins are not distinguishable. Both need every"
            " method on every task. (Friedman 1937; Iman and Davenport 1980; Demsar 2006, JMLR 7:1-30.)",
        ),
        (
            "Score against cost",
            "A method is on the front if no other one costs no more and scores no less. The front ignores the"
            " intervals. Scores include imputed ones; a method with a task on which every trial failed is never on the front, since its"
            " cost there is not known. The panel of common tasks holds the tasks on which every method has a score.",
        ),
    ),
}

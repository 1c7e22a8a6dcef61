"""Which attempts count: of each trial one. The rest are history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.results.ingest import quoted
from benchbench.stats.labels import PUBLISHED

if TYPE_CHECKING:
    import duckdb

__all__ = ["IN_GROUP", "IS_TIMED", "select_counted", "superseded_trials"]

# Of each trial one attempt counts: the newest that is not infra (infra only if there is no other), of the newest source that its
# method was measured with under these conditions: no row of a board mixes two sources, and a quick run with a new source does
# not empty the board of a longer preset. A changed suite file or data give other trials, which group apart.
#
# Most attempts count, so what is looked for are those that do not: a window over the ids of all trials, and a join with the keys
# of all that count, took longer than the questions that were then asked.
_SUPERSEDED = """
CREATE TEMP TABLE superseded AS
WITH conditions AS (
    SELECT suite, preset, threads, device, method, params_json,
        arg_max(adapter_source_hash, started_at) FILTER (outcome <> 'infra') AS newest_source
    FROM attempts WHERE ($1 IS NULL OR suite = $1)
    GROUP BY ALL HAVING min(adapter_source_hash) <> max(adapter_source_hash)
)
SELECT attempt_key, trial_id, method, outcome
FROM attempts JOIN conditions USING (suite, preset, threads, device, method, params_json)
WHERE adapter_source_hash <> newest_source
"""

# hashes only say where to look: trials whose hashes collide are still told apart
_HISTORY = """
CREATE TEMP TABLE history AS
WITH repeated AS (
    SELECT hash(trial_id) AS code FROM attempts WHERE ($1 IS NULL OR suite = $1) GROUP BY code HAVING count(*) > 1
)
SELECT attempt_key FROM superseded
UNION ALL
SELECT attempt_key FROM attempts ANTI JOIN superseded USING (attempt_key)
WHERE ($1 IS NULL OR suite = $1) AND hash(trial_id) IN (FROM repeated)
QUALIFY row_number() OVER (
    PARTITION BY trial_id, task_fingerprint, protocol_version
    ORDER BY outcome = 'infra', started_at DESC, attempt_key
) > 1
"""

# Parameters 1 to 6 are the fields of `Group`, in their order.
IN_GROUP = """
    suite_version = $1 AND protocol_version = $2 AND preset = $3
    AND coalesce(CAST(json_extract(budget_json, '$.test_units') AS BIGINT), 0) = $4 AND threads = $5 AND device = $6
"""

# Of published results 0 seconds means that nobody said.
IS_TIMED = f"(seconds > 0 OR NOT starts_with(protocol_version, {quoted(PUBLISHED)}))"

_SUPERSEDED_TRIALS = """
SELECT method, count(DISTINCT trial_id) FROM superseded
WHERE outcome <> 'infra'
    AND trial_id NOT IN (SELECT trial_id FROM counted WHERE trial_id IN (SELECT trial_id FROM superseded))
GROUP BY method ORDER BY method
"""


def select_counted(con: duckdb.DuckDBPyConnection, suite: str | None) -> None:
    """Make the view `counted` of the attempts that count, with all columns of `attempts`; of all suites if none is named."""
    con.execute(_SUPERSEDED, [suite])
    con.execute(_HISTORY, [suite])
    # a statement that makes a view takes no parameters
    where = "" if suite is None else f" WHERE suite = {quoted(suite)}"
    con.execute(f"CREATE TEMP VIEW counted AS SELECT * FROM attempts ANTI JOIN history USING (attempt_key){where}")


def superseded_trials(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    """Return, after `select_counted`, how many trials of each method have attempts of older sources only."""
    return con.execute(_SUPERSEDED_TRIALS).fetchall()

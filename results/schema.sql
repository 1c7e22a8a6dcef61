-- The results database, version 2. Times are seconds since the epoch, UTC; *_json columns hold canonical JSON text.
-- attempt_key is md5_number_lower(attempt_id): one narrow key joins everything (a five-column key made inserts 12x slower).
CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY,
    suite VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    started_at DOUBLE NOT NULL,
    ended_at DOUBLE,
    n_trials BIGINT NOT NULL,
    state VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    user_name VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    hardware_json VARCHAR NOT NULL,
    git_commit VARCHAR NOT NULL,
    git_dirty BOOLEAN,
    benchbench_version VARCHAR NOT NULL,
    updated_at BIGINT NOT NULL -- nanoseconds; of two records of a run the newer counts
);

CREATE TABLE attempts (
    attempt_key UBIGINT PRIMARY KEY,
    attempt_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    trial_id VARCHAR NOT NULL,
    try_number BIGINT NOT NULL,
    suite VARCHAR NOT NULL,
    suite_version VARCHAR NOT NULL,
    track VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    task_fingerprint VARCHAR NOT NULL,
    protocol_version VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    params_json VARCHAR NOT NULL,
    transductive BOOLEAN NOT NULL,
    seed BIGINT NOT NULL,
    preset VARCHAR NOT NULL,
    budget_json VARCHAR NOT NULL,
    threads BIGINT NOT NULL,
    device VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    error_type VARCHAR NOT NULL,
    error_message VARCHAR NOT NULL,
    traceback VARCHAR NOT NULL,
    log_tail VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    score DOUBLE,
    score_sd DOUBLE,
    n_units BIGINT NOT NULL,
    unit VARCHAR NOT NULL,
    seconds DOUBLE NOT NULL,
    wall_seconds DOUBLE NOT NULL,
    cpu_seconds DOUBLE NOT NULL,
    peak_memory_mib DOUBLE NOT NULL,
    started_at DOUBLE NOT NULL,
    host VARCHAR NOT NULL,
    worker VARCHAR NOT NULL,
    hardware_class VARCHAR NOT NULL,
    adapter_source_hash VARCHAR NOT NULL,
    environment_hash VARCHAR NOT NULL,
    git_commit VARCHAR NOT NULL,
    git_dirty BOOLEAN,
    benchbench_version VARCHAR NOT NULL,
    remarks_json VARCHAR NOT NULL DEFAULT '[]' -- list of texts: what is questionable about a trial that succeeded
);

-- Data of a task that could not be prepared in a run ('failed'), and that could be later ('ok'); the newest counts.
CREATE TABLE preparations (
    run_id VARCHAR NOT NULL,
    suite VARCHAR NOT NULL,
    suite_version VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    error_type VARCHAR NOT NULL,
    error_message VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    recorded_at DOUBLE NOT NULL,
    updated_at BIGINT NOT NULL, -- nanoseconds; of two records of a task in a run the newer counts
    PRIMARY KEY (run_id, task)
);

-- One score an episode, fold or row group, in the order that the task fixes; apart from attempts, so that boards never read it.
CREATE TABLE unit_scores (attempt_key UBIGINT NOT NULL, scores DOUBLE[] NOT NULL);

-- kind is 'metric', or 'phase' for the seconds of a phase.
CREATE TABLE metrics (attempt_key UBIGINT NOT NULL, kind VARCHAR NOT NULL, name VARCHAR NOT NULL, value DOUBLE);

CREATE TABLE curves (
    attempt_key UBIGINT NOT NULL,
    position BIGINT NOT NULL,
    step BIGINT NOT NULL,
    seconds DOUBLE NOT NULL,
    metric VARCHAR NOT NULL,
    value DOUBLE
);

-- What attempts refer to, each once.
CREATE TABLE tasks (
    task_fingerprint VARCHAR NOT NULL,
    suite VARCHAR NOT NULL,
    suite_version VARCHAR NOT NULL,
    track VARCHAR NOT NULL,
    task VARCHAR NOT NULL
);
CREATE TABLE methods (
    adapter_source_hash VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    track VARCHAR NOT NULL,
    transductive BOOLEAN NOT NULL
);
CREATE TABLE environments (environment_hash VARCHAR NOT NULL, versions_json VARCHAR NOT NULL);
-- Runs that came by import; a later import may bring their state up to date, but never that of a run recorded here.
CREATE TABLE imported_runs (run_id VARCHAR PRIMARY KEY);

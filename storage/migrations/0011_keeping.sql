-- What happens by itself with time: reminders, overdue marks, lapses. All of it follows from cases.case and
-- cases.change, and is kept so that each happens once.

-- Whether cases.watch stands as the row does. Where it differs from listed, the loop looks again.
ALTER TABLE cases.case ADD COLUMN watched boolean NOT NULL DEFAULT false;
CREATE INDEX case_to_watch ON cases.case (case_id) WHERE listed <> watched;

CREATE FUNCTION cases.look_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.listed THEN
        NEW.watched := false;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER case_look_again BEFORE UPDATE ON cases.case FOR EACH ROW
    WHEN (ROW(OLD.listed, OLD.policy, OLD.version, OLD.stage, OLD.clock_start, OLD.deadline, OLD.provisional,
              OLD.marked)
          IS DISTINCT FROM
          ROW(NEW.listed, NEW.policy, NEW.version, NEW.stage, NEW.clock_start, NEW.deadline, NEW.provisional,
              NEW.marked))
    EXECUTE FUNCTION cases.look_again();

-- The running deadline of a case, and what comes next of it. version: 1 also for a case that has not come to life.
CREATE TABLE cases.watch (
    case_id bytea PRIMARY KEY REFERENCES cases.case ON DELETE CASCADE,
    version bigint NOT NULL,
    stage smallint NOT NULL,
    deadline bigint NOT NULL,
    provisional boolean NOT NULL,
    -- It can be said to have passed: exact, or marked on the chain.
    known boolean NOT NULL,
    -- Seconds that the clock runs until the deadline, pauses left out.
    total bigint NOT NULL CHECK (total >= 0),
    -- The next reminder and its second; NULL when all are made, or the rest waits for a provisional year.
    percent smallint,
    remind_at bigint,
    -- What is sent once the deadline has passed, and when it is tried next; act_at NULL: on its way, done or given up.
    act text CHECK (act IN ('overdue', 'lapse')),
    transition int,
    act_at bigint,
    attempt int NOT NULL DEFAULT 0,
    refusals int NOT NULL DEFAULT 0,
    code text,
    CHECK ((percent IS NULL) = (remind_at IS NULL)),
    CHECK ((act = 'lapse') = (transition IS NOT NULL))
);
CREATE INDEX watch_remind ON cases.watch (remind_at) WHERE remind_at IS NOT NULL;
CREATE INDEX watch_act ON cases.watch (act_at) WHERE act_at IS NOT NULL;

-- Marks and lapses that were given to the outbox. state NULL: on its way. Times are the chain's.
CREATE TABLE cases.timed_act (
    business_key text PRIMARY KEY,
    case_id bytea NOT NULL,
    version bigint NOT NULL,
    deadline bigint NOT NULL,
    act text NOT NULL CHECK (act IN ('overdue', 'lapse')),
    transition int,
    attempt int NOT NULL CHECK (attempt > 0),
    outbox_id bigint NOT NULL,
    sent_at bigint NOT NULL,
    state text,
    code text,
    settled_at bigint,
    UNIQUE (case_id, version, deadline, act, attempt)
);
CREATE INDEX timed_act_open ON cases.timed_act (outbox_id) WHERE state IS NULL;

-- Made reminders, in the order in which they are handed out: position grows without gaps that fill later, because
-- the head's row is locked until the commit. moot_at: the case went on, the clock stopped, or the deadline changed.
CREATE TABLE cases.reminder (
    reminder_id bytea PRIMARY KEY CHECK (octet_length(reminder_id) = 16),
    position bigint NOT NULL UNIQUE,
    case_id bytea NOT NULL,
    version bigint NOT NULL,
    stage smallint NOT NULL,
    deadline bigint NOT NULL,
    provisional boolean NOT NULL,
    percent smallint NOT NULL CHECK (percent IN (50, 80, 100)),
    due_at bigint NOT NULL,
    made_at bigint NOT NULL,
    moot_at bigint,
    UNIQUE (case_id, version, deadline, percent)
);
CREATE TABLE cases.reminder_head (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL
);
INSERT INTO cases.reminder_head (position) VALUES (0);

-- How the loop fares. looked_at: this machine's clock; time, block: of the block by which it acts.
CREATE TABLE cases.keeper (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    looked_at bigint,
    block bigint,
    time bigint,
    code text,
    detail text,
    since bigint
);
INSERT INTO cases.keeper DEFAULT VALUES;

GRANT SELECT ON cases.watch, cases.timed_act, cases.reminder, cases.reminder_head, cases.keeper
    TO gateway, sealer, reader;
GRANT INSERT, UPDATE, DELETE ON cases.watch TO sealer;
GRANT INSERT, UPDATE ON cases.timed_act, cases.reminder TO sealer;
GRANT UPDATE ON cases.reminder_head, cases.keeper TO sealer;

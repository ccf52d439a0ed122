-- Cases: what institutions handed in (batches, sealed rows), and what the chain says of them. All that hangs on
-- chain.block is derived and can be read again from a node; the rest is not.

CREATE SCHEMA cases;
GRANT USAGE ON SCHEMA cases TO gateway, sealer, reader;

-- Handed in

-- One batch file (docs/spec/case.md §4), taken whole or not at all.
CREATE TABLE cases.batch (
    root bytea PRIMARY KEY CHECK (octet_length(root) = 32),
    batch_id bytea NOT NULL UNIQUE CHECK (octet_length(batch_id) = 32),
    owner bigint NOT NULL CHECK (owner > 0),
    count int NOT NULL CHECK (count BETWEEN 1 AND 1000000),
    made_at bigint NOT NULL,
    received_at bigint NOT NULL,
    file_digest bytea NOT NULL CHECK (octet_length(file_digest) = 32),
    -- Organisations to whom the rows are sealed, in the file's order, and their keys.
    recipients bigint[] NOT NULL,
    recipient_keys bytea[] NOT NULL,
    CHECK (cardinality(recipients) BETWEEN 1 AND 16 AND cardinality(recipients) = cardinality(recipient_keys))
);

-- The batch's tree, a row for each level: node i of a level is bytes 32·i to 32·i + 31. Level 0 is the leaf hashes.
CREATE TABLE cases.batch_level (
    root bytea NOT NULL REFERENCES cases.batch ON DELETE CASCADE,
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 20),
    hashes bytea NOT NULL,
    PRIMARY KEY (root, level)
);
ALTER TABLE cases.batch_level ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- A row under a key that this service does not have; wrapped: the row key for each recipient of the batch.
CREATE TABLE cases.sealed_row (
    case_id bytea PRIMARY KEY CHECK (octet_length(case_id) = 32),
    root bytea NOT NULL REFERENCES cases.batch ON DELETE CASCADE,
    ciphertext bytea NOT NULL CHECK (octet_length(ciphertext) BETWEEN 16 AND 65536),
    wrapped bytea[] NOT NULL
);
ALTER TABLE cases.sealed_row ALTER COLUMN ciphertext SET STORAGE EXTERNAL;
CREATE INDEX sealed_row_root ON cases.sealed_row (root);

-- Every case with where it stands now. A case is known from its batch file, or from the chain once it has moved.
CREATE TABLE cases.case (
    case_id bytea PRIMARY KEY CHECK (octet_length(case_id) = 32),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    position bigint NOT NULL CHECK (position >= 0),
    owner bigint NOT NULL CHECK (owner > 0),
    product smallint NOT NULL CHECK (product BETWEEN 1 AND 255),
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    -- Its batch stands on the chain and is not recalled; only then is it a case of the centre.
    listed boolean NOT NULL DEFAULT false,
    -- As of the last change; version 0 and stage 1 before the first. Times in seconds UTC, since the batch's import
    -- before the first change. deadline: NULL for none and while paused. court: 0 for none.
    policy int NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0,
    stage smallint NOT NULL DEFAULT 1,
    since bigint NOT NULL DEFAULT 0,
    clock_start bigint NOT NULL DEFAULT 0,
    deadline bigint,
    provisional boolean NOT NULL DEFAULT false,
    court bigint NOT NULL DEFAULT 0,
    open_holds smallint NOT NULL DEFAULT 0,
    marked boolean NOT NULL DEFAULT false,
    UNIQUE (root, position)
);
CREATE INDEX case_all ON cases.case (stage, case_id) WHERE listed;
CREATE INDEX case_owner ON cases.case (owner, stage, case_id) WHERE listed;
CREATE INDEX case_court ON cases.case (court, stage, case_id) WHERE listed AND court > 0;
CREATE INDEX case_due ON cases.case (deadline, case_id) WHERE listed AND deadline IS NOT NULL;
CREATE INDEX case_owner_due ON cases.case (owner, deadline, case_id) WHERE listed AND deadline IS NOT NULL;
CREATE INDEX case_court_due ON cases.case (court, deadline, case_id)
    WHERE listed AND deadline IS NOT NULL AND court > 0;

-- Read from the chain

CREATE TABLE cases.policy (
    chain_id bigint NOT NULL,
    contract bytea NOT NULL CHECK (octet_length(contract) = 20),
    version int NOT NULL CHECK (version > 0),
    address bytea NOT NULL CHECK (octet_length(address) = 20),
    table_hash bytea NOT NULL CHECK (octet_length(table_hash) = 32),
    test_clock boolean NOT NULL,
    block_number bigint NOT NULL,
    PRIMARY KEY (chain_id, contract, version),
    FOREIGN KEY (chain_id, block_number) REFERENCES chain.block (chain_id, number) ON DELETE CASCADE
);
CREATE INDEX policy_block ON cases.policy (chain_id, block_number);

-- Working days as governance set them: bit i (of the 48 bytes as one number) is day i of the year. Last row counts.
CREATE TABLE cases.calendar_year (
    chain_id bigint NOT NULL,
    contract bytea NOT NULL CHECK (octet_length(contract) = 20),
    sequence bigint NOT NULL,
    year smallint NOT NULL,
    days bytea NOT NULL CHECK (octet_length(days) = 48),
    notice text NOT NULL,
    block_number bigint NOT NULL,
    PRIMARY KEY (chain_id, contract, sequence),
    FOREIGN KEY (chain_id, block_number) REFERENCES chain.block (chain_id, number) ON DELETE CASCADE
);
CREATE INDEX calendar_year_block ON cases.calendar_year (chain_id, block_number);

-- Imports and recalls. time: of the block. deadline, provisional: of a case of the batch that has not moved, as it
-- would have been had it come to life in the block of the import; the chain computes it anew at its first act.
CREATE TABLE cases.batch_event (
    chain_id bigint NOT NULL,
    contract bytea NOT NULL CHECK (octet_length(contract) = 20),
    sequence bigint NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    recalled boolean NOT NULL,
    organisation bigint NOT NULL,
    count int,
    policy int,
    rules bytea,
    totals bytea,
    deadline bigint,
    provisional boolean NOT NULL DEFAULT false,
    time bigint NOT NULL,
    block_number bigint NOT NULL,
    transaction_hash bytea NOT NULL CHECK (octet_length(transaction_hash) = 32),
    PRIMARY KEY (chain_id, contract, sequence),
    UNIQUE (chain_id, contract, root, recalled),
    FOREIGN KEY (chain_id, block_number) REFERENCES chain.block (chain_id, number) ON DELETE CASCADE
);
CREATE INDEX batch_event_block ON cases.batch_event (chain_id, block_number);
CREATE INDEX batch_event_root ON cases.batch_event (root);

-- Each event of a case, with the state after it (columns of cases.case). opened: the case came to life, in the
-- same transaction as its first act. A lapse is a move without an organisation. transition, reason, hold: codes of
-- the policy, NULL where there is none. note: a move's note or a pause's basis. from_stage: 0 of one that was opened.
CREATE TABLE cases.change (
    chain_id bigint NOT NULL,
    contract bytea NOT NULL CHECK (octet_length(contract) = 20),
    sequence bigint NOT NULL,
    case_id bytea NOT NULL CHECK (octet_length(case_id) = 32),
    kind text NOT NULL CHECK (
        kind IN ('opened', 'moved', 'lapsed', 'paused', 'resumed', 'reversed', 'overdue')),
    transition int,
    reason int,
    hold int,
    organisation bigint,
    co_organisation bigint,
    from_stage smallint NOT NULL,
    evidence bytea,
    statement bytea,
    note bytea,
    time bigint NOT NULL,
    block_number bigint NOT NULL,
    log_index int NOT NULL,
    transaction_hash bytea NOT NULL CHECK (octet_length(transaction_hash) = 32),
    policy int NOT NULL,
    version bigint NOT NULL,
    stage smallint NOT NULL,
    since bigint NOT NULL,
    clock_start bigint NOT NULL,
    deadline bigint,
    provisional boolean NOT NULL,
    court bigint NOT NULL,
    open_holds smallint NOT NULL,
    marked boolean NOT NULL,
    PRIMARY KEY (chain_id, contract, sequence),
    FOREIGN KEY (chain_id, block_number) REFERENCES chain.block (chain_id, number) ON DELETE CASCADE
);
CREATE INDEX change_block ON cases.change (chain_id, block_number);
CREATE INDEX change_case ON cases.change (case_id, sequence);

-- cases.case follows what hangs on blocks, whoever writes or takes away: new events, a reorganisation, a rebuild, and a
-- batch file that comes after its import. One batch is settled by one transaction at a time; without the lock, an
-- import and a file that are committed at the same moment would each miss the other.

CREATE FUNCTION cases.list_batch(of_root bytea) RETURNS void LANGUAGE plpgsql SET search_path = cases, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('cases.list_batch ' || encode(of_root, 'hex'), 0));
    UPDATE cases.case c
    SET listed = b.time IS NOT NULL AND NOT b.recalled, policy = coalesce(b.policy, 0), since = coalesce(b.time, 0),
        clock_start = coalesce(b.time, 0), deadline = b.deadline, provisional = coalesce(b.provisional, false)
    FROM (
        SELECT i.time, i.policy, i.deadline, i.provisional,
               EXISTS (SELECT FROM cases.batch_event WHERE root = of_root AND recalled) AS recalled
        FROM (SELECT) AS one
        LEFT JOIN LATERAL (
            SELECT * FROM cases.batch_event WHERE root = of_root AND NOT recalled ORDER BY sequence DESC LIMIT 1
        ) i ON true
    ) b
    WHERE c.root = of_root AND c.version = 0
        AND (c.listed, c.since, c.policy) IS DISTINCT FROM
            (b.time IS NOT NULL AND NOT b.recalled, coalesce(b.time, 0), coalesce(b.policy, 0));
END $$;

CREATE FUNCTION cases.batch_came() RETURNS trigger LANGUAGE plpgsql SET search_path = cases, pg_temp AS $$
BEGIN
    PERFORM cases.list_batch(NEW.root);
    RETURN NULL;
END $$;
-- At the end of the transaction, when the file's cases are there.
CREATE CONSTRAINT TRIGGER came AFTER INSERT ON cases.batch DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION cases.batch_came();

CREATE FUNCTION cases.batch_settle() RETURNS trigger LANGUAGE plpgsql SET search_path = cases, pg_temp AS $$
BEGIN
    PERFORM cases.list_batch(root) FROM (SELECT DISTINCT root FROM changed ORDER BY root) AS each;
    RETURN NULL;
END $$;
CREATE TRIGGER settle_new AFTER INSERT ON cases.batch_event REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION cases.batch_settle();
CREATE TRIGGER settle_gone AFTER DELETE ON cases.batch_event REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION cases.batch_settle();

CREATE FUNCTION cases.change_settle() RETURNS trigger LANGUAGE plpgsql SET search_path = cases, pg_temp AS $$
BEGIN
    UPDATE cases.case c
    SET listed = true, policy = l.policy, version = l.version, stage = l.stage, since = l.since,
        clock_start = l.clock_start, deadline = l.deadline, provisional = l.provisional, court = l.court,
        open_holds = l.open_holds, marked = l.marked
    FROM (
        SELECT DISTINCT ON (h.case_id) h.* FROM cases.change h
        WHERE h.case_id IN (SELECT case_id FROM changed) ORDER BY h.case_id, h.sequence DESC
    ) l
    WHERE c.case_id = l.case_id;
    IF TG_OP = 'DELETE' THEN
        -- Known from the chain alone, and the chain has it no more.
        DELETE FROM cases.case c
        WHERE c.case_id IN (SELECT case_id FROM changed)
            AND NOT EXISTS (SELECT FROM cases.change h WHERE h.case_id = c.case_id)
            AND NOT EXISTS (SELECT FROM cases.batch b WHERE b.root = c.root);
        UPDATE cases.case c
        SET version = DEFAULT, stage = DEFAULT, court = DEFAULT, open_holds = DEFAULT, marked = DEFAULT
        WHERE c.case_id IN (SELECT case_id FROM changed)
            AND NOT EXISTS (SELECT FROM cases.change h WHERE h.case_id = c.case_id);
        PERFORM cases.list_batch(root) FROM (
            SELECT DISTINCT c.root FROM cases.case c JOIN changed USING (case_id) WHERE c.version = 0 ORDER BY c.root
        ) AS each;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER settle_new AFTER INSERT ON cases.change REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION cases.change_settle();
CREATE TRIGGER settle_gone AFTER DELETE ON cases.change REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION cases.change_settle();

GRANT SELECT ON ALL TABLES IN SCHEMA cases TO gateway, sealer, reader;
GRANT INSERT ON cases.batch, cases.batch_level, cases.sealed_row, cases.case TO gateway;
GRANT UPDATE (root, position, owner, product, commitment, listed, policy, since, clock_start, deadline, provisional)
    ON cases.case TO gateway;
GRANT INSERT, DELETE ON cases.policy, cases.calendar_year, cases.batch_event, cases.change TO sealer;
GRANT INSERT, UPDATE, DELETE ON cases.case TO sealer;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA cases FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cases.list_batch TO gateway, sealer;

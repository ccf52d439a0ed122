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

-- Imports and recalls. time: of the block.
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
-- the policy, NULL where there is none. note: a move's note or a pause's basis.
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

GRANT SELECT ON ALL TABLES IN SCHEMA cases TO gateway, sealer, reader;
GRANT INSERT ON cases.batch, cases.batch_level, cases.sealed_row, cases.case TO gateway;
GRANT UPDATE (root, position, owner, product, commitment, listed, policy, since, clock_start, deadline, provisional)
    ON cases.case TO gateway;
GRANT INSERT, DELETE ON cases.policy, cases.batch_event, cases.change TO sealer;
GRANT INSERT, UPDATE ON cases.case TO sealer;

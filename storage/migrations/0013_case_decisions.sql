-- Decisions of triage (docs/spec/triage.md §5): a chain of records a case, each sealed to the recipients of its batch.
-- Only ever added to: an override is a further record.
CREATE TABLE cases.decision (
    case_id bytea NOT NULL REFERENCES cases.case,
    number int NOT NULL CHECK (number BETWEEN 1 AND 200),
    commitment bytea NOT NULL UNIQUE CHECK (octet_length(commitment) = 32),
    -- The decision before; the first has none, and no two have the same.
    previous bytea UNIQUE REFERENCES cases.decision (commitment),
    -- Who handed it in, and when. What it says, and who decided, is inside.
    organisation bigint NOT NULL CHECK (organisation > 0),
    received_at bigint NOT NULL,
    -- Organisations in the batch's order; wrapped: the record's key for each of them.
    recipients bigint[] NOT NULL,
    ciphertext bytea NOT NULL CHECK (octet_length(ciphertext) BETWEEN 16 AND 8192),
    wrapped bytea[] NOT NULL,
    PRIMARY KEY (case_id, number),
    CHECK ((number = 1) = (previous IS NULL)),
    CHECK (cardinality(recipients) BETWEEN 1 AND 16 AND cardinality(recipients) = cardinality(wrapped))
);
GRANT SELECT, INSERT ON cases.decision TO gateway;
GRANT SELECT ON cases.decision TO sealer, reader;

-- Reading of cases: more orders of a list, who looked, case codes, and captured proofs of a case's state.

CREATE INDEX case_owner_case ON cases.case (owner, case_id) WHERE listed;
CREATE INDEX case_court_case ON cases.case (court, case_id) WHERE listed AND court > 0;
CREATE INDEX case_batch ON cases.case (root, case_id);
CREATE INDEX case_paused ON cases.case (case_id) WHERE listed AND open_holds > 0;
CREATE INDEX case_stage_due ON cases.case (stage, deadline, case_id) WHERE listed AND deadline IS NOT NULL;

-- Which organisation looked at what of a case, by day in Shanghai (days since 1970-01-01). what: 1 where the case
-- stands, 2 its sealed row. Times in seconds UTC.
CREATE TABLE cases.look (
    case_id bytea NOT NULL CHECK (octet_length(case_id) = 32),
    day int NOT NULL,
    organisation bigint NOT NULL CHECK (organisation > 0),
    what smallint NOT NULL CHECK (what IN (1, 2)),
    count bigint NOT NULL CHECK (count > 0),
    first_at bigint NOT NULL,
    last_at bigint NOT NULL CHECK (last_at >= first_at),
    PRIMARY KEY (case_id, day, organisation, what)
);

-- Codes by which a debtor reads the own case. handle: first symbols of the code, by which it is found; digest: of
-- the whole code with the salt. At most one that is not revoked for a case.
CREATE TABLE cases.case_code (
    handle text PRIMARY KEY CHECK (handle ~ '^[0-9A-HJKMNP-TV-Z]{6}$'),
    case_id bytea NOT NULL CHECK (octet_length(case_id) = 32),
    salt bytea NOT NULL CHECK (octet_length(salt) = 16),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    issued_by bigint NOT NULL CHECK (issued_by > 0),
    issued_at bigint NOT NULL,
    expires_at bigint NOT NULL CHECK (expires_at > issued_at),
    revoked_at bigint,
    wrong int NOT NULL DEFAULT 0 CHECK (wrong >= 0)
);
CREATE UNIQUE INDEX case_code_case ON cases.case_code (case_id) WHERE revoked_at IS NULL;

-- Receipts of events (docs/spec/case-receipt.md), kept because nodes forget old state. Not bound to the index: an
-- index that is built again finds them by the event's place and block.
CREATE TABLE cases.event_receipt (
    chain_id bigint NOT NULL,
    contract bytea NOT NULL CHECK (octet_length(contract) = 20),
    sequence bigint NOT NULL,
    block_hash bytea NOT NULL CHECK (octet_length(block_hash) = 32),
    receipt bytea NOT NULL CHECK (octet_length(receipt) <= 65536),
    captured_at bigint NOT NULL,
    PRIMARY KEY (chain_id, contract, sequence, block_hash)
);

GRANT SELECT ON cases.look, cases.case_code, cases.event_receipt TO gateway, reader;
GRANT INSERT, UPDATE (count, first_at, last_at) ON cases.look TO gateway;
GRANT INSERT, UPDATE (revoked_at, wrong) ON cases.case_code TO gateway;
GRANT INSERT ON cases.event_receipt TO gateway;

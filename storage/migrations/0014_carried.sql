-- Acts on cases that were accepted and are to be carried (docs/spec/case.md §9), several in one transaction where they
-- have to wait, and what became of each.
CREATE TABLE cases.carried (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 32),
    -- The order in which they go.
    place bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    case_id bytea NOT NULL CHECK (octet_length(case_id) = 32),
    -- What its change has in cases.change once it was taken.
    makes_version bigint NOT NULL,
    -- For CaseLedger; dropped when the fate is known, the outbox keeps it.
    data bytea,
    -- The limit that it would get alone.
    gas bigint NOT NULL CHECK (gas > 0),
    queued_at bigint NOT NULL,
    -- Its group came to nothing as a whole, so it goes alone.
    alone boolean NOT NULL DEFAULT false,
    -- Its transaction in the outbox, and its place among that one's acts; NULL while it waits.
    business_key text,
    position smallint,
    -- mined: taken, and the index has its change. reverted: the contract refused it, by `code`. failed, vanished: of an
    -- act that was alone, as in chain.outbox.
    state text CHECK (state IN ('mined', 'reverted', 'failed', 'vanished')),
    code text,
    CHECK ((business_key IS NULL) = (position IS NULL)),
    CHECK (state IS NULL OR business_key IS NOT NULL),
    CHECK (state IS NOT NULL OR data IS NOT NULL)
);
CREATE INDEX carried_waiting ON cases.carried (place) INCLUDE (case_id) WHERE business_key IS NULL;
CREATE INDEX carried_open ON cases.carried (business_key) WHERE business_key IS NOT NULL AND state IS NULL;
CREATE INDEX change_transaction ON cases.change (transaction_hash, case_id);

GRANT SELECT ON cases.carried TO gateway, sealer, reader;
GRANT INSERT ON cases.carried TO gateway;
GRANT UPDATE (data, alone, business_key, position, state, code) ON cases.carried TO sealer;

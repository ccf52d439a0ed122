-- Acts on cases that this service was handed (docs/spec/case.md §8): those that went to the outbox, and those that
-- wait for the second organisation's signature, which only the two organisations see.
CREATE TABLE cases.act (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 32),
    -- What is signed; for an act that nobody signs the hash that names it. `id` is another one for a further attempt.
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    case_id bytea NOT NULL CHECK (octet_length(case_id) = 32),
    name text NOT NULL CHECK (name IN ('Move', 'Pause', 'Resume', 'Reverse', 'Lapse', 'MarkOverdue')),
    organisation bigint NOT NULL,
    co_organisation bigint NOT NULL,
    -- The act as it came; JSON of the specification.
    document jsonb NOT NULL,
    valid_until bigint NOT NULL,
    received_at bigint NOT NULL,
    -- When it went to the outbox; NULL while it waits for the second signature.
    carried_at bigint,
    -- A waiting act is dropped then.
    expires_at bigint NOT NULL,
    CHECK (carried_at IS NOT NULL OR (organisation > 0 AND co_organisation > 0))
);
CREATE INDEX act_waiting ON cases.act (co_organisation, id) WHERE carried_at IS NULL;
CREATE INDEX act_waiting_first ON cases.act (organisation, id) WHERE carried_at IS NULL;
CREATE INDEX act_expired ON cases.act (expires_at) WHERE carried_at IS NULL;

GRANT SELECT ON cases.act TO gateway, sealer, reader;
GRANT INSERT, DELETE ON cases.act TO gateway;
GRANT UPDATE (document, carried_at) ON cases.act TO gateway;

-- Time stamps over RFC 4998 hash trees of the log's leaves (docs/spec/views.md §4). Facts: a row is never changed.

-- One hash tree: the leaves from_size <= index < to_size, stamped first by `authority`. Ranges of one authority
-- follow on each other without gaps.
CREATE TABLE evidence.ers_stamp (
    log_no int NOT NULL REFERENCES evidence.log,
    authority text NOT NULL CHECK (length(authority) BETWEEN 1 AND 128),
    from_size bigint NOT NULL CHECK (from_size >= 0),
    to_size bigint NOT NULL CHECK (to_size > from_size),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (log_no, authority, from_size),
    FOREIGN KEY (log_no, to_size) REFERENCES evidence.batch (log_no, new_size)
);

-- position 0: over the root. Each further one renews the token before it: lists is the reduced hash tree
-- (CBOR) that leads from that token's hash to what was stamped, empty when it was stamped alone.
CREATE TABLE evidence.ers_token (
    log_no int NOT NULL,
    authority text NOT NULL,
    from_size bigint NOT NULL,
    position smallint NOT NULL CHECK (position BETWEEN 0 AND 31),
    stamped_by text NOT NULL,
    gen_time bigint NOT NULL,
    signer_until bigint NOT NULL,
    received_at bigint NOT NULL,
    lists bytea NOT NULL CHECK (octet_length(lists) BETWEEN 1 AND 4096),
    token bytea NOT NULL CHECK (octet_length(token) BETWEEN 2 AND 16384),
    PRIMARY KEY (log_no, authority, from_size, position),
    FOREIGN KEY (log_no, authority, from_size) REFERENCES evidence.ers_stamp
);
ALTER TABLE evidence.ers_token ALTER COLUMN token SET STORAGE EXTERNAL;
-- Which tokens end next.
CREATE INDEX ers_token_until ON evidence.ers_token (log_no, signer_until);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence.ers_stamp
    FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence.ers_token
    FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change();

GRANT SELECT ON evidence.ers_stamp, evidence.ers_token TO gateway, sealer, reader;
GRANT INSERT ON evidence.ers_stamp, evidence.ers_token TO sealer;

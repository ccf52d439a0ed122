-- Checkpoints of anchored heads and the witnesses' cosignatures over them (docs/spec/attestation.md §1).
-- All are facts: added, never changed.

CREATE TABLE evidence.checkpoint (
    log_no int NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    algorithm smallint NOT NULL CHECK (algorithm IN (0, 1)),
    number bigint NOT NULL,
    log_key_id bytea NOT NULL CHECK (octet_length(log_key_id) = 4),
    log_signature bytea NOT NULL CHECK (octet_length(log_signature) = 64),
    PRIMARY KEY (log_no, size, algorithm),
    FOREIGN KEY (log_no, number) REFERENCES evidence.anchor
);

-- Every key that ever cosigned this log.
CREATE TABLE evidence.cosigner (
    log_no int NOT NULL REFERENCES evidence.log,
    algorithm smallint NOT NULL CHECK (algorithm IN (0, 1)),
    key_id bytea NOT NULL CHECK (octet_length(key_id) = 4),
    name text NOT NULL,
    PRIMARY KEY (log_no, algorithm, key_id)
);

CREATE TABLE evidence.cosignature (
    log_no int NOT NULL,
    size bigint NOT NULL,
    algorithm smallint NOT NULL,
    key_id bytea NOT NULL CHECK (octet_length(key_id) = 4),
    time bigint NOT NULL CHECK (time > 0),
    signature bytea NOT NULL CHECK (octet_length(signature) BETWEEN 64 AND 4096),
    PRIMARY KEY (log_no, size, algorithm, key_id),
    FOREIGN KEY (log_no, size, algorithm) REFERENCES evidence.checkpoint,
    FOREIGN KEY (log_no, algorithm, key_id) REFERENCES evidence.cosigner
);
-- The newest size that a key signed, and its first at or after a leaf's batch.
CREATE INDEX cosignature_key ON evidence.cosignature (log_no, algorithm, key_id, size);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence.checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence.cosigner
    FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence.cosignature
    FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change();

GRANT SELECT ON evidence.checkpoint, evidence.cosigner, evidence.cosignature TO gateway, sealer, reader;
GRANT INSERT ON evidence.checkpoint, evidence.cosigner, evidence.cosignature TO sealer;

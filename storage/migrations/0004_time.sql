-- Time tokens over the checkpoints of anchored batches (docs/spec/attestation.md §3, §5).
--
-- Only a token that verified is stored, so all of this is fact: a row is never changed. Certificates and
-- revocation data are the same for many tokens and stored once.

-- Every authority that ever stamped a tree of this log: what a receipt looks for.
CREATE TABLE evidence.time_source (
    log_no int NOT NULL REFERENCES evidence.log,
    algorithm smallint NOT NULL CHECK (algorithm IN (0, 1)),
    authority text NOT NULL CHECK (length(authority) BETWEEN 1 AND 128),
    PRIMARY KEY (log_no, algorithm, authority)
);

CREATE TABLE evidence.time_material (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    der bytea NOT NULL CHECK (octet_length(der) BETWEEN 2 AND 32768)
);

-- size: that of the batch whose checkpoint was stamped. gen_time, signer_until: seconds UTC, from the token and
-- from its signer's certificate. certificates, revocation: digests of time_material, in the order of the receipt.
CREATE TABLE evidence.time_token (
    log_no int NOT NULL,
    algorithm smallint NOT NULL,
    authority text NOT NULL,
    size bigint NOT NULL,
    gen_time bigint NOT NULL,
    policy text NOT NULL,
    signer_until bigint NOT NULL,
    received_at bigint NOT NULL,
    token bytea NOT NULL CHECK (octet_length(token) BETWEEN 2 AND 16384),
    certificates bytea[] NOT NULL,
    revocation bytea[] NOT NULL,
    PRIMARY KEY (log_no, algorithm, authority, size),
    FOREIGN KEY (log_no, algorithm, authority) REFERENCES evidence.time_source,
    FOREIGN KEY (log_no, size) REFERENCES evidence.batch (log_no, new_size)
);
ALTER TABLE evidence.time_token ALTER COLUMN token SET STORAGE EXTERNAL;

DO $$
DECLARE
    fact text;
BEGIN
    FOREACH fact IN ARRAY ARRAY['time_source', 'time_material', 'time_token'] LOOP
        EXECUTE format('CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change()', fact);
    END LOOP;
END
$$;

GRANT SELECT ON evidence.time_source, evidence.time_material, evidence.time_token TO gateway, sealer, reader;
GRANT INSERT ON evidence.time_source, evidence.time_material, evidence.time_token TO sealer;

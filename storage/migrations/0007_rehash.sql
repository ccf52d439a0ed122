-- Hash renewals of a whole log under SHA3-256 (docs/spec/hash-renewal.md): the operator's trees and their tokens.

-- A run over the leaves [0, size) and how far it came. Not a fact: it may be dropped and begun again.
CREATE TABLE evidence.rehash_run (
    log_no int NOT NULL REFERENCES evidence.log,
    size bigint NOT NULL CHECK (size > 0),
    done bigint NOT NULL DEFAULT 0 CHECK (done BETWEEN 0 AND size),
    PRIMARY KEY (log_no, size),
    FOREIGN KEY (log_no, size) REFERENCES evidence.batch (log_no, new_size)
) WITH (fillfactor = 20);

-- The tree in tiles of 256 hashes, as evidence.tile. bodies: at level 0 the SHA3-256 of each body, 32 zero bytes
-- where it was erased: once a body is gone, nothing else could show the item.
CREATE TABLE evidence.rehash_tile (
    log_no int NOT NULL,
    size bigint NOT NULL,
    level smallint NOT NULL,
    tile_index bigint NOT NULL,
    hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192),
    bodies bytea CHECK (octet_length(bodies) = octet_length(hashes)),
    PRIMARY KEY (log_no, size, level, tile_index),
    FOREIGN KEY (log_no, size) REFERENCES evidence.rehash_run,
    CHECK ((level = 0) = (bodies IS NOT NULL))
);
ALTER TABLE evidence.rehash_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
ALTER TABLE evidence.rehash_tile ALTER COLUMN bodies SET STORAGE EXTERNAL;

-- A finished tree. Rows of both tables are facts.
CREATE TABLE evidence.rehash_tree (
    log_no int NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    log_signature bytea NOT NULL CHECK (octet_length(log_signature) = 64),
    finished_at bigint NOT NULL,
    PRIMARY KEY (log_no, size),
    FOREIGN KEY (log_no, size) REFERENCES evidence.rehash_run
);

CREATE TABLE evidence.rehash_token (
    log_no int NOT NULL,
    size bigint NOT NULL,
    authority text NOT NULL CHECK (length(authority) BETWEEN 1 AND 128),
    gen_time bigint NOT NULL,
    signer_until bigint NOT NULL,
    received_at bigint NOT NULL,
    token bytea NOT NULL CHECK (octet_length(token) BETWEEN 2 AND 16384),
    certificates bytea[] NOT NULL,
    PRIMARY KEY (log_no, size, authority),
    FOREIGN KEY (log_no, size) REFERENCES evidence.rehash_tree
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence.rehash_tree
    FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence.rehash_token
    FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change();

GRANT SELECT ON evidence.rehash_run, evidence.rehash_tile, evidence.rehash_tree, evidence.rehash_token
    TO gateway, sealer, reader;
GRANT INSERT ON evidence.rehash_run, evidence.rehash_tile, evidence.rehash_tree, evidence.rehash_token TO sealer;
GRANT UPDATE ON evidence.rehash_run, evidence.rehash_tile TO sealer;

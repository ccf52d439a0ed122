-- Evidence: what was accepted, how it was sealed, where it was anchored.
--
-- Rows of log, promise_group, submission, entry, entry_link, batch, anchor, batch_proof and key_proof are facts:
-- a trigger refuses UPDATE, DELETE and TRUNCATE for everyone who does not first disable it, and no service role
-- is granted more than SELECT and INSERT on them. tile is derived from entry and may be dropped and rebuilt.
-- Whoever owns the database can still change it; evidence.fsck and the contract are what find that out.

CREATE SCHEMA evidence;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['gateway', 'sealer', 'reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            RAISE EXCEPTION 'role % is missing', role USING HINT = 'create the login roles first (ensure_roles)';
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION evidence.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of %.% are immutable', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = '42501';
END
$$;

CREATE TABLE evidence.log (
    log_no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id bytea NOT NULL UNIQUE CHECK (octet_length(log_id) = 32),
    origin text NOT NULL UNIQUE CHECK (length(origin) BETWEEN 1 AND 128),
    chain_id bigint NOT NULL CHECK (chain_id > 0),
    contract bytea NOT NULL CHECK (octet_length(contract) = 20),
    registry bytea NOT NULL CHECK (octet_length(registry) = 20),
    operator int NOT NULL CHECK (operator > 0),
    predecessor int UNIQUE REFERENCES evidence.log,
    predecessor_size bigint,
    predecessor_sha256 bytea,
    predecessor_sm3 bytea,
    created_at bigint NOT NULL,
    CHECK (num_nulls(predecessor, predecessor_size, predecessor_sha256, predecessor_sm3) IN (0, 4))
);

-- status: open; halted (nothing is accepted or sealed until a person decides); closed (by closeLog).
CREATE TABLE evidence.log_status (
    log_no int PRIMARY KEY REFERENCES evidence.log,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'halted', 'closed')),
    code text,
    detail text,
    since bigint NOT NULL,
    closed_size bigint CHECK (closed_size >= 0)
) WITH (fillfactor = 50);

-- One writer: whoever raised the epoch last. accepted_size is the next leaf index.
CREATE TABLE evidence.log_writer (
    log_no int PRIMARY KEY REFERENCES evidence.log,
    epoch bigint NOT NULL DEFAULT 0,
    accepted_size bigint NOT NULL DEFAULT 0 CHECK (accepted_size >= 0)
) WITH (fillfactor = 20);

CREATE TABLE evidence.submitter (
    log_no int NOT NULL REFERENCES evidence.log,
    organisation int NOT NULL CHECK (organisation > 0),
    last_sequence bigint NOT NULL CHECK (last_sequence > 0),
    PRIMARY KEY (log_no, organisation)
) WITH (fillfactor = 50);

-- One durable commit. roots: the request roots (32 bytes each) that the promise's group root covers, in order.
CREATE TABLE evidence.promise_group (
    log_no int NOT NULL,
    first_index bigint NOT NULL,
    leaves int NOT NULL CHECK (leaves > 0),
    accepted_at bigint NOT NULL,
    deadline bigint NOT NULL,
    promise bytea NOT NULL,
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    roots bytea NOT NULL CHECK (octet_length(roots) > 0 AND octet_length(roots) % 32 = 0),
    PRIMARY KEY (log_no, first_index)
);

CREATE TABLE evidence.submission (
    log_no int NOT NULL,
    first_index bigint NOT NULL,
    leaves int NOT NULL CHECK (leaves BETWEEN 1 AND 4096),
    organisation int NOT NULL,
    first_sequence bigint NOT NULL CHECK (first_sequence > 0),
    valid_until bigint NOT NULL,
    group_first bigint NOT NULL,
    group_position int NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    signature bytea NOT NULL CHECK (octet_length(signature) = 65),
    signer bytea NOT NULL CHECK (octet_length(signer) = 20),
    PRIMARY KEY (log_no, first_index),
    UNIQUE (log_no, root, organisation),
    UNIQUE (log_no, organisation, first_sequence)
);

-- leaf: 112 bytes (entry.md). dedupe: first 16 bytes of the unsequenced leaf's hash, what makes an entry the same
-- entry. The three keys are 8 bytes each, because every wide random index costs the accept path 3 us a row:
-- id_key of the evidence id, case_key of the case commitment, tag_key of a keyed hash of the content digest, so
-- that a copy of this table cannot be searched for a known document. Whoever looks up compares the whole value
-- afterwards. body: key epoch (4) || nonce (12) || AES-256-GCM; null once erased.
CREATE TABLE evidence.entry (
    log_no int NOT NULL,
    leaf_index bigint NOT NULL,
    leaf bytea NOT NULL CHECK (octet_length(leaf) = 112),
    id_key bigint NOT NULL,
    dedupe bytea NOT NULL CHECK (octet_length(dedupe) = 16),
    case_key bigint NOT NULL,
    tag_key bigint NOT NULL,
    body bytea,
    PRIMARY KEY (log_no, leaf_index)
);
ALTER TABLE evidence.entry ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX entry_dedupe ON evidence.entry (dedupe, log_no);
CREATE INDEX entry_id_key ON evidence.entry (id_key) WITH (deduplicate_items = off);
CREATE INDEX entry_case_key ON evidence.entry (case_key);
CREATE INDEX entry_tag_key ON evidence.entry (tag_key) WITH (deduplicate_items = off);

-- Links as the body states them (relation 1 to 5); the target may be in another log, or nowhere.
CREATE TABLE evidence.entry_link (
    log_no int NOT NULL,
    leaf_index bigint NOT NULL,
    position smallint NOT NULL,
    relation smallint NOT NULL CHECK (relation BETWEEN 1 AND 5),
    target bytea NOT NULL CHECK (octet_length(target) = 32),
    PRIMARY KEY (log_no, leaf_index, position)
);
CREATE INDEX entry_link_target ON evidence.entry_link (target);

-- Subtree roots in tiles of 256 (C2SP tlog-tiles): algorithm 0 SHA-256, 1 SM3; level n holds subtrees of 256^n
-- leaves. The last tile of a level may be partial. Derived.
CREATE TABLE evidence.tile (
    log_no int NOT NULL REFERENCES evidence.log,
    algorithm smallint NOT NULL CHECK (algorithm IN (0, 1)),
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile_index bigint NOT NULL CHECK (tile_index >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (log_no, algorithm, level, tile_index)
);
ALTER TABLE evidence.tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- Leaves below tiled_size are in the tiles.
CREATE TABLE evidence.tile_state (
    log_no int PRIMARY KEY REFERENCES evidence.log,
    tiled_size bigint NOT NULL CHECK (tiled_size >= 0)
) WITH (fillfactor = 50);

-- A sealed checkpoint: the leaves [old_size, new_size) and the roots at new_size. What is anchored is this row.
CREATE TABLE evidence.batch (
    log_no int NOT NULL REFERENCES evidence.log,
    number bigint NOT NULL CHECK (number > 0),
    old_size bigint NOT NULL,
    new_size bigint NOT NULL,
    root_sha256 bytea NOT NULL CHECK (octet_length(root_sha256) = 32),
    root_sm3 bytea NOT NULL CHECK (octet_length(root_sm3) = 32),
    sealed_at bigint NOT NULL,
    PRIMARY KEY (log_no, number),
    UNIQUE (log_no, old_size),
    UNIQUE (log_no, new_size),
    CHECK (old_size >= 0 AND new_size > old_size AND new_size - old_size <= 1048576)
);

-- Each signed anchor act of a batch; another one only after the last has expired.
CREATE TABLE evidence.anchor_act (
    log_no int NOT NULL,
    number bigint NOT NULL,
    attempt int NOT NULL,
    valid_until bigint NOT NULL,
    signature bytea NOT NULL,
    outbox_id bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (log_no, number, attempt),
    FOREIGN KEY (log_no, number) REFERENCES evidence.batch
);

-- The anchor as the final chain shows it.
CREATE TABLE evidence.anchor (
    log_no int NOT NULL,
    number bigint NOT NULL,
    previous_link bytea NOT NULL CHECK (octet_length(previous_link) = 32),
    link bytea NOT NULL CHECK (octet_length(link) = 32),
    anchored_at bigint NOT NULL,
    block_number bigint NOT NULL,
    block_hash bytea NOT NULL CHECK (octet_length(block_hash) = 32),
    transaction_hash bytea NOT NULL CHECK (octet_length(transaction_hash) = 32),
    PRIMARY KEY (log_no, number),
    FOREIGN KEY (log_no, number) REFERENCES evidence.batch
);

-- The chain proof of a batch without the signer's key, and each signer's key in the same block.
CREATE TABLE evidence.batch_proof (
    log_no int NOT NULL,
    number bigint NOT NULL,
    height bigint NOT NULL,
    proof bytea NOT NULL,
    captured_at bigint NOT NULL,
    PRIMARY KEY (log_no, number),
    FOREIGN KEY (log_no, number) REFERENCES evidence.anchor
);
CREATE TABLE evidence.key_proof (
    log_no int NOT NULL,
    number bigint NOT NULL,
    signer bytea NOT NULL CHECK (octet_length(signer) = 20),
    proof bytea NOT NULL,
    PRIMARY KEY (log_no, number, signer),
    FOREIGN KEY (log_no, number) REFERENCES evidence.batch_proof
);

-- Failed steps, the last of each kind: shown in the status until the step succeeds.
CREATE TABLE evidence.trouble (
    log_no int NOT NULL REFERENCES evidence.log,
    step text NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    first_at bigint NOT NULL,
    last_at bigint NOT NULL,
    times bigint NOT NULL,
    PRIMARY KEY (log_no, step)
);

-- One durable group in one statement, because every round trip costs a group more than hundreds of its rows:
-- moves the log's size from old_size to new_size and records the entries, the promise, the submissions and the
-- submitters' sequences. All arrays of one kind have the same length. SQLSTATE CL001: another writer has taken
-- over. CL002: the log is not open. CL003: the group before this one is not committed.
CREATE FUNCTION evidence.accept_group(
    log int, writer_epoch bigint, old_size bigint, new_size bigint,
    accepted_at bigint, deadline bigint, promise bytea, promise_signature bytea, roots bytea,
    submission_first bigint[], submission_leaves int[], submission_organisation int[],
    submission_sequence bigint[], submission_valid_until bigint[], submission_root bytea[],
    submission_signature bytea[], submission_signer bytea[],
    submitters int[], last_sequences bigint[],
    link_index bigint[], link_position int[], link_relation int[], link_target bytea[],
    entry_leaf bytea[], entry_dedupe bytea[], entry_id_key bigint[], entry_case_key bigint[],
    entry_tag_key bigint[], entry_body bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Waits for the group before, if that is still being committed; the next statement sees its size.
    PERFORM FROM evidence.log_writer w WHERE w.log_no = log FOR UPDATE;
    UPDATE evidence.log_writer w SET accepted_size = new_size
        WHERE w.log_no = log AND w.epoch = writer_epoch AND w.accepted_size = old_size
          AND EXISTS (SELECT FROM evidence.log_status s WHERE s.log_no = log AND s.status = 'open');
    IF NOT FOUND THEN
        PERFORM FROM evidence.log_status s WHERE s.log_no = log AND s.status = 'open';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'log not open' USING ERRCODE = 'CL002';
        END IF;
        PERFORM FROM evidence.log_writer w
            WHERE w.log_no = log AND w.epoch = writer_epoch AND w.accepted_size < old_size;
        IF FOUND THEN
            RAISE EXCEPTION 'the group before is not there' USING ERRCODE = 'CL003';
        END IF;
        RAISE EXCEPTION 'not the writer' USING ERRCODE = 'CL001';
    END IF;
    INSERT INTO evidence.entry (log_no, leaf_index, leaf, id_key, dedupe, case_key, tag_key, body)
        SELECT log, old_size + e.position - 1, e.leaf, e.id_key, e.dedupe, e.case_key, e.tag_key, e.body
        FROM ROWS FROM (unnest(entry_leaf), unnest(entry_dedupe), unnest(entry_id_key), unnest(entry_case_key),
                        unnest(entry_tag_key), unnest(entry_body)) WITH ORDINALITY
             AS e (leaf, dedupe, id_key, case_key, tag_key, body, position);
    INSERT INTO evidence.promise_group (log_no, first_index, leaves, accepted_at, deadline, promise, signature, roots)
        VALUES (log, old_size, new_size - old_size, accepted_at, deadline, promise, promise_signature, roots);
    INSERT INTO evidence.submission (log_no, first_index, leaves, organisation, first_sequence, valid_until,
                                     group_first, group_position, root, signature, signer)
        SELECT log, s.first, s.leaves, s.organisation, s.sequence, s.valid_until, old_size, s.position - 1, s.root,
               s.signature, s.signer
        FROM ROWS FROM (unnest(submission_first), unnest(submission_leaves), unnest(submission_organisation),
                        unnest(submission_sequence), unnest(submission_valid_until), unnest(submission_root),
                        unnest(submission_signature), unnest(submission_signer)) WITH ORDINALITY
             AS s (first, leaves, organisation, sequence, valid_until, root, signature, signer, position);
    INSERT INTO evidence.submitter (log_no, organisation, last_sequence)
        SELECT log, u.organisation, u.last FROM unnest(submitters, last_sequences) AS u (organisation, last)
        ON CONFLICT (log_no, organisation) DO UPDATE SET last_sequence = excluded.last_sequence;
    IF link_index IS NOT NULL THEN
        INSERT INTO evidence.entry_link (log_no, leaf_index, position, relation, target)
            SELECT log, l.at, l.position, l.relation, l.target
            FROM unnest(link_index, link_position, link_relation, link_target) AS l (at, position, relation, target);
    END IF;
END
$$;

-- The writer of a log: a new epoch, so that whoever wrote before cannot commit any more.
CREATE FUNCTION evidence.take_writer(log int) RETURNS TABLE (epoch bigint, accepted_size bigint)
LANGUAGE sql AS $$
    UPDATE evidence.log_writer w SET epoch = w.epoch + 1 WHERE w.log_no = log
    RETURNING w.epoch, w.accepted_size
$$;

DO $$
DECLARE
    fact text;
BEGIN
    FOREACH fact IN ARRAY ARRAY['log', 'promise_group', 'submission', 'entry_link', 'batch', 'anchor_act', 'anchor',
                                'batch_proof', 'key_proof'] LOOP
        EXECUTE format('CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change()', fact);
    END LOOP;
END
$$;
-- The body of an entry may be erased, and only erased; everything else of it stays.
CREATE TRIGGER immutable BEFORE UPDATE OF log_no, leaf_index, leaf, dedupe, id_key, case_key, tag_key
    OR DELETE OR TRUNCATE ON evidence.entry FOR EACH STATEMENT EXECUTE FUNCTION evidence.refuse_change();
CREATE TRIGGER erase_only BEFORE UPDATE OF body ON evidence.entry
    FOR EACH ROW WHEN (NEW.body IS NOT NULL) EXECUTE FUNCTION evidence.refuse_change();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA evidence FROM PUBLIC;
GRANT EXECUTE ON FUNCTION evidence.accept_group, evidence.take_writer TO gateway;
GRANT USAGE ON SCHEMA evidence TO gateway, sealer, reader;
GRANT SELECT ON ALL TABLES IN SCHEMA evidence TO gateway, sealer, reader;
GRANT INSERT ON evidence.promise_group, evidence.submission, evidence.entry, evidence.entry_link,
    evidence.submitter TO gateway;
GRANT UPDATE (last_sequence) ON evidence.submitter TO gateway;
GRANT UPDATE (epoch, accepted_size) ON evidence.log_writer TO gateway;
GRANT INSERT ON evidence.batch, evidence.anchor_act, evidence.anchor, evidence.batch_proof, evidence.key_proof,
    evidence.tile, evidence.tile_state, evidence.trouble TO sealer;
GRANT UPDATE, DELETE ON evidence.tile, evidence.tile_state, evidence.trouble TO sealer;
GRANT UPDATE (status, code, detail, since, closed_size) ON evidence.log_status TO sealer;

-- Custody: which entry of a custody log is which event of which item. Derived from the bodies, save for those
-- that were erased; it is what keeps an item's chain from forking. holder and pending: after this event.
CREATE TABLE evidence.custody_event (
    item bytea NOT NULL CHECK (octet_length(item) = 32),
    number bigint NOT NULL CHECK (number > 0),
    event_hash bytea NOT NULL CHECK (octet_length(event_hash) = 32),
    log_no int NOT NULL REFERENCES evidence.log,
    leaf_index bigint NOT NULL,
    holder bigint NOT NULL CHECK (holder > 0),
    pending bigint CHECK (pending > 0),
    PRIMARY KEY (item, number),
    UNIQUE (log_no, leaf_index)
);

-- accept_group with the events' places in their chains. SQLSTATE CL004: a chain has moved on. An event that a
-- closed log has lost may be logged again, in the successor.
CREATE FUNCTION evidence.accept_custody_group(
    log int, writer_epoch bigint, old_size bigint, new_size bigint,
    accepted_at bigint, deadline bigint, promise bytea, promise_signature bytea, roots bytea,
    submission_first bigint[], submission_leaves int[], submission_organisation int[],
    submission_sequence bigint[], submission_valid_until bigint[], submission_root bytea[],
    submission_signature bytea[], submission_signer bytea[],
    submitters int[], last_sequences bigint[],
    link_index bigint[], link_position int[], link_relation int[], link_target bytea[],
    entry_leaf bytea[], entry_dedupe bytea[], entry_id_key bigint[], entry_case_key bigint[],
    entry_tag_key bigint[], entry_body bytea[],
    event_index bigint[], event_item bytea[], event_number bigint[], event_previous bytea[], event_hash bytea[],
    event_holder bigint[], event_pending bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    PERFORM evidence.accept_group(
        log, writer_epoch, old_size, new_size, accepted_at, deadline, promise, promise_signature, roots,
        submission_first, submission_leaves, submission_organisation, submission_sequence, submission_valid_until,
        submission_root, submission_signature, submission_signer, submitters, last_sequences, link_index,
        link_position, link_relation, link_target, entry_leaf, entry_dedupe, entry_id_key, entry_case_key,
        entry_tag_key, entry_body);
    IF EXISTS (SELECT FROM unnest(event_item, event_number) AS c (item, number)
               GROUP BY c.item, c.number HAVING count(*) > 1) THEN
        RAISE EXCEPTION 'one place in a chain twice' USING ERRCODE = 'CL004';
    END IF;
    INSERT INTO evidence.custody_event AS held (item, number, event_hash, log_no, leaf_index, holder, pending)
        SELECT e.item, e.number, e.hash, log, e.at, e.holder, e.pending
        FROM unnest(event_index, event_item, event_number, event_hash, event_holder, event_pending)
             AS e (at, item, number, hash, holder, pending)
        ON CONFLICT (item, number) DO UPDATE SET log_no = excluded.log_no, leaf_index = excluded.leaf_index
            WHERE held.event_hash = excluded.event_hash AND held.log_no <> excluded.log_no;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> cardinality(event_item) OR EXISTS (
        SELECT FROM unnest(event_item, event_number, event_previous) AS e (item, number, previous)
        LEFT JOIN evidence.custody_event before
            ON before.item = e.item AND before.number = e.number - 1 AND before.event_hash = e.previous
        WHERE e.number > 1 AND before.item IS NULL) THEN
        RAISE EXCEPTION 'the chain has moved on' USING ERRCODE = 'CL004';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION evidence.accept_custody_group FROM PUBLIC;
GRANT EXECUTE ON FUNCTION evidence.accept_custody_group TO gateway;
GRANT SELECT ON evidence.custody_event TO gateway, sealer, reader;
GRANT INSERT, UPDATE (log_no, leaf_index) ON evidence.custody_event TO gateway;
GRANT INSERT, DELETE ON evidence.custody_event TO sealer;

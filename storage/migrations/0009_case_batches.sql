-- Lists of batches: newest first, of everybody and of one institution; and how many cases of a batch moved.

CREATE INDEX batch_received ON cases.batch (received_at, root);
CREATE INDEX batch_owner_received ON cases.batch (owner, received_at, root);
CREATE INDEX batch_event_imported ON cases.batch_event (time, root) WHERE NOT recalled;
CREATE INDEX case_moved ON cases.case (root) WHERE version > 0;

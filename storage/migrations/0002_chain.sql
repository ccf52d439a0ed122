-- What this service knows of the chain: senders and what they sent, how far events were read, and what the
-- events said. Everything but the outbox can be dropped and read again from a node.

create schema chain;

create table chain.lane (
    lane text primary key check (lane ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    chain_id bigint not null check (chain_id > 0),
    sender bytea not null check (octet_length(sender) = 20),
    next_nonce bigint not null default 0 check (next_nonce >= 0),
    -- Set when the lane cannot go on by itself (no gas, chain behind); cleared by a person or by success.
    paused_code text,
    paused_detail text,
    paused_by_hand boolean not null default false,
    unique (chain_id, sender)
);

-- One worker at a time sends for a lane; the epoch goes up with each new owner and is checked on every write.
-- A table of its own, because the lane's row is locked by whoever takes a nonce.
create table chain.lease (
    lane text primary key references chain.lane (lane),
    owner text not null default '',
    epoch bigint not null default 0,
    lease_until timestamptz not null default '-infinity'
);

create table chain.outbox (
    id bigint generated always as identity primary key,
    lane text not null references chain.lane (lane),
    business_key text not null check (length(business_key) between 1 and 200),
    nonce bigint not null check (nonce >= 0),
    recipient bytea check (octet_length(recipient) = 20),
    data bytea not null,
    gas bigint not null check (gas > 0),
    gas_price numeric(39) not null check (gas_price >= 0),
    raw bytea not null,
    hash bytea not null check (octet_length(hash) = 32),
    -- ready: signed, never given to a node. sent: given to a node at least once. included: in a block that is not
    -- final yet. poisoned: will not be sent (again); its nonce is being filled. Final: mined (succeeded),
    -- reverted (in a block, refused), failed (never executed; reason says why), vanished (its nonce is used and
    -- no receipt is known: only the state of the contract can say what became of it).
    state text not null default 'ready' check (
        state in ('ready', 'sent', 'included', 'poisoned', 'mined', 'reverted', 'failed', 'vanished')),
    filler_raw bytea,
    filler_hash bytea check (octet_length(filler_hash) = 32),
    reason_code text,
    reason_detail text,
    reason_data bytea,
    attempts integer not null default 0,
    missing_since bigint,
    block_number bigint,
    block_hash bytea check (octet_length(block_hash) = 32),
    gas_used bigint,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    finished_at timestamptz,
    check ((filler_raw is null) = (filler_hash is null)),
    check (state not in ('poisoned', 'failed') or reason_code is not null),
    check (state not in ('included', 'mined', 'reverted') or block_number is not null)
);

create unique index outbox_business on chain.outbox (business_key);
-- A nonce belongs to one row; a vanished or failed row gives it back only to history.
create unique index outbox_nonce on chain.outbox (lane, nonce) where state <> 'vanished';
create index outbox_live on chain.outbox (lane, nonce)
    where state in ('ready', 'sent', 'included', 'poisoned');
create unique index outbox_hash on chain.outbox (hash);

-- Blocks that hold events of ours. Every projected row hangs on its block: a reorganisation is one delete.
create table chain.block (
    chain_id bigint not null,
    number bigint not null check (number >= 0),
    hash bytea not null check (octet_length(hash) = 32),
    time bigint not null,
    primary key (chain_id, number)
);

create table chain.cursor (
    name text primary key,
    chain_id bigint not null,
    block_number bigint not null,
    block_hash bytea not null check (octet_length(block_hash) = 32),
    updated_at timestamptz not null default now()
);

create table chain.event (
    chain_id bigint not null,
    contract bytea not null check (octet_length(contract) = 20),
    sequence bigint not null check (sequence > 0),
    block_number bigint not null,
    log_index integer not null,
    transaction_hash bytea not null check (octet_length(transaction_hash) = 32),
    name text not null,
    topics bytea[] not null,
    data bytea not null,
    primary key (chain_id, contract, sequence),
    foreign key (chain_id, block_number) references chain.block (chain_id, number) on delete cascade
);
create index event_block on chain.event (chain_id, block_number);

create table chain.anchor (
    chain_id bigint not null,
    contract bytea not null check (octet_length(contract) = 20),
    log_id bytea not null check (octet_length(log_id) = 32),
    number bigint not null check (number > 0),
    old_size numeric(20) not null,
    new_size numeric(20) not null,
    root_sha256 bytea not null,
    root_sm3 bytea not null,
    link bytea not null,
    time bigint not null,
    key bytea not null,
    block_number bigint not null,
    transaction_hash bytea not null,
    primary key (chain_id, contract, log_id, number),
    foreign key (chain_id, block_number) references chain.block (chain_id, number) on delete cascade
);
create index anchor_block on chain.anchor (chain_id, block_number);

-- One row for each opening or closing; the view shows the last.
create table chain.log_change (
    chain_id bigint not null,
    contract bytea not null check (octet_length(contract) = 20),
    sequence bigint not null,
    log_id bytea not null check (octet_length(log_id) = 32),
    origin text,
    operator bigint,
    predecessor bytea,
    closed_size numeric(20),
    successor bytea,
    block_number bigint not null,
    primary key (chain_id, contract, sequence),
    foreign key (chain_id, block_number) references chain.block (chain_id, number) on delete cascade
);
create index log_change_block on chain.log_change (chain_id, block_number);

create view chain.log as
select opened.chain_id, opened.contract, opened.log_id, opened.origin, opened.operator, opened.predecessor,
       closed.closed_size, closed.successor, opened.block_number as opened_at, closed.block_number as closed_at
from chain.log_change opened
left join chain.log_change closed
    on closed.chain_id = opened.chain_id and closed.contract = opened.contract
        and closed.log_id = opened.log_id and closed.origin is null
where opened.origin is not null;

-- Versions of what the registry said, one for each event; the views show the last of each.
create table chain.organisation_version (
    chain_id bigint not null,
    contract bytea not null check (octet_length(contract) = 20),
    sequence bigint not null,
    organisation bigint not null,
    id bytea not null,
    roles bigint not null,
    interest_group bigint not null,
    vote boolean not null,
    status smallint not null,
    suspended_until bigint not null,
    hpke_key bytea not null,
    hpke_not_before bigint not null,
    hpke_not_after bigint not null,
    block_number bigint not null,
    primary key (chain_id, contract, organisation, sequence),
    foreign key (chain_id, block_number) references chain.block (chain_id, number) on delete cascade
);
create index organisation_version_block on chain.organisation_version (chain_id, block_number);

create table chain.key_version (
    chain_id bigint not null,
    contract bytea not null check (octet_length(contract) = 20),
    sequence bigint not null,
    key bytea not null check (octet_length(key) = 20),
    organisation bigint not null,
    purpose smallint not null,
    slot bytea not null check (octet_length(slot) = 32),
    block_number bigint not null,
    primary key (chain_id, contract, key, sequence),
    foreign key (chain_id, block_number) references chain.block (chain_id, number) on delete cascade
);
create index key_version_block on chain.key_version (chain_id, block_number);

create view chain.organisation as
select distinct on (chain_id, contract, organisation) * from chain.organisation_version
order by chain_id, contract, organisation, sequence desc;

create view chain.key as
select distinct on (chain_id, contract, key) * from chain.key_version
order by chain_id, contract, key, sequence desc;

grant usage on schema chain to gateway, sealer, reader;
grant select on all tables in schema chain to gateway, sealer, reader;
grant insert on chain.lane, chain.lease, chain.outbox to gateway, sealer;
grant update (next_nonce) on chain.lane to gateway;
grant update on chain.lane, chain.lease, chain.outbox to sealer;
grant insert, update, delete on chain.block, chain.cursor, chain.event, chain.anchor, chain.log_change,
    chain.organisation_version, chain.key_version to sealer;

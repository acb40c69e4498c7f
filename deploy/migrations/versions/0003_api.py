"""Events, uploads in parts, labels, receipts, idempotency keys, mappings; a role that sees one tenant."""

from alembic import op

revision = "0003"
down_revision = "0002"
# pre_release: the release before this one writes none of the new columns and breaks none of the new rules.
branch_labels = None
depends_on = None

UPLOADS = (
    # An upload that the customer sends straight to S3 has no digest before all of it is there.
    """
    alter table uploads
        add column state text not null default 'READY' check (state in ('AWAITING', 'READY', 'DELETED')),
        add column declared_size bigint check (declared_size > 0),
        add column declared_sha256 text check (declared_sha256 ~ '^[0-9a-f]{64}$'),
        add column multipart_id text,
        add column part_bytes bigint check (part_bytes > 0),
        add column expires_at timestamptz,
        add column completed_at timestamptz,
        add column deleted_at timestamptz,
        alter column size_bytes drop not null,
        alter column sha256 drop not null,
        add constraint ready_has_its_digest check (
            state <> 'READY' or (size_bytes is not null and sha256 is not null)),
        add constraint parts_have_a_size check ((multipart_id is null) = (part_bytes is null)),
        add constraint awaiting_has_its_end check (state <> 'AWAITING' or expires_at is not null),
        add constraint deleted_has_its_time check ((state = 'DELETED') = (deleted_at is not null))
    """,
)

PREDICTIONS = (
    """
    alter table predictions
        add column label text check (length(label) <= 100),
        add column metadata jsonb
            check (jsonb_typeof(metadata) = 'object' and octet_length(metadata::text) <= 16384),
        -- No foreign key: it goes on naming the prediction whose receipt is all that is left.
        add column retry_of uuid,
        -- What the message says, to compare it with. Null: written by a release that did not store them.
        add column mapping jsonb check (jsonb_typeof(mapping) = 'object'),
        add column options jsonb check (jsonb_typeof(options) = 'object'),
        -- Rises with each change that a customer can see. Written by a trigger only.
        add column revision bigint not null default 1,
        add column progress_rows bigint check (progress_rows >= 0),
        add column progress_total bigint check (progress_total >= 0),
        add column progress_at timestamptz
    """,
    # What is deleted takes its messages along. The key without the tenant says no more than this one.
    """
    alter table outbox
        drop constraint outbox_prediction_id_fkey,
        drop constraint prediction_of_the_same_tenant,
        add constraint prediction_of_the_same_tenant foreign key (tenant_id, prediction_id)
            references predictions (tenant_id, prediction_id) on delete cascade
    """,
    # Its label, its metadata and their revision are the customer's; what a finished prediction says stays.
    """
    create or replace function keep_finished_prediction() returns trigger language plpgsql as $$
    declare
        free constant text[] := array['sqs_message_id', 'sqs_queued_at', 'label', 'metadata', 'revision'];
    begin
        if to_jsonb(new) - free is distinct from to_jsonb(old) - free then
            raise exception 'a finished prediction cannot be changed'
                using errcode = 'check_violation', constraint = 'finished_is_final';
        end if;
        return new;
    end
    $$
    """,
    # Progress is counted from 0 in each attempt, rises within it, and at most once a second.
    """
    create function keep_progress() returns trigger language plpgsql as $$
    begin
        if new.fence > old.fence then
            new.progress_rows := null;
            new.progress_total := null;
        elsif new.progress_rows > coalesce(old.progress_rows, -1)
            and coalesce(old.progress_at < clock_timestamp() - interval '1 second', true) then
            new.progress_at := clock_timestamp();
        else
            new.progress_rows := old.progress_rows;
            new.progress_total := old.progress_total;
        end if;
        return new;
    end
    $$
    """,
    # Triggers fire in the order of their names: what a finished prediction says is guarded first.
    """
    create trigger predictions_progress before update on predictions
        for each row when (
            new.fence > old.fence
            or new.progress_rows is distinct from old.progress_rows
            or new.progress_total is distinct from old.progress_total)
        execute function keep_progress()
    """,
    """
    create function raise_revision() returns trigger language plpgsql as $$
    begin
        if (new.status, new.attempt, new.started_at, new.retry_reason, new.retry_at, new.finished_at,
            new.rows_total, new.rows_scored, new.rows_rejected, new.summary, new.result, new.failure,
            new.label, new.metadata, new.progress_rows, new.progress_total)
            is distinct from
            (old.status, old.attempt, old.started_at, old.retry_reason, old.retry_at, old.finished_at,
            old.rows_total, old.rows_scored, old.rows_rejected, old.summary, old.result, old.failure,
            old.label, old.metadata, old.progress_rows, old.progress_total) then
            new.revision := old.revision + 1;
        end if;
        return new;
    end
    $$
    """,
    """
    create trigger predictions_revision before update on predictions
        for each row execute function raise_revision()
    """,
)

EVENTS = (
    """
    create table prediction_events (
        tenant_id      text not null,
        prediction_id  uuid not null,
        sequence       integer not null check (sequence > 0),
        type           text not null check (type in (
            'queued', 'running', 'progress', 'retrying', 'completed', 'failed', 'cancelled', 'expired')),
        at             timestamptz not null,
        detail         jsonb not null check (jsonb_typeof(detail) = 'object'),
        primary key (prediction_id, sequence),
        constraint prediction_of_the_same_tenant foreign key (tenant_id, prediction_id)
            references predictions (tenant_id, prediction_id) on delete cascade
    )
    """,
    # The history so far of what is unfinished, as its row knows it; 0004 adds that of what is finished.
    """
    insert into prediction_events (tenant_id, prediction_id, sequence, type, at, detail)
    select tenant_id, prediction_id, row_number() over (partition by prediction_id order by step),
        type, at, detail
    from predictions,
        lateral (values
            (1, 'queued', requested_at, '{}'::jsonb),
            (2, 'running', started_at, jsonb_build_object('attempt', attempt))
        ) as event (step, type, at, detail)
    where finished_at is null and at is not null
    """,
    # Whoever makes the change, an event is written with it, so no role may write one. The change has locked
    # the prediction's row: its events are numbered one by one, and their times rise. Nobody listens before
    # the first, and each NOTIFY makes commits take turns.
    """
    create function write_prediction_event() returns trigger language plpgsql
        security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
    declare
        kind text;
        said jsonb := '{}';
    begin
        if tg_op = 'INSERT' then
            kind := 'queued';
        elsif new.status <> old.status and new.finished_at is not null then
            kind := lower(new.status);
            if new.status = 'COMPLETED' then
                said := jsonb_build_object('rows_total', new.rows_total,
                    'rows_scored', new.rows_scored, 'rows_rejected', new.rows_rejected);
            elsif new.status = 'FAILED' then
                said := jsonb_build_object('code', new.failure ->> 'code');
            end if;
        elsif new.fence > old.fence then
            kind := 'running';
            said := jsonb_build_object('attempt', new.attempt);
        elsif new.retry_at is not null and new.retry_at is distinct from old.retry_at then
            kind := 'retrying';
            said := jsonb_build_object('reason', new.retry_reason, 'retry_at', new.retry_at);
        elsif new.progress_rows is distinct from old.progress_rows then
            kind := 'progress';
            said := jsonb_build_object('rows', new.progress_rows, 'total', new.progress_total);
        else
            return null;
        end if;
        insert into public.prediction_events (tenant_id, prediction_id, sequence, type, at, detail)
        select new.tenant_id, new.prediction_id, coalesce(max(sequence), 0) + 1, kind, clock_timestamp(), said
        from public.prediction_events
        where prediction_id = new.prediction_id;
        if tg_op = 'UPDATE' then
            perform pg_notify('prediction_events', new.prediction_id::text);
        end if;
        return null;
    end
    $$
    """,
    "revoke execute on function write_prediction_event() from public",
    """
    create trigger predictions_first_event after insert on predictions
        for each row execute function write_prediction_event()
    """,
    """
    create trigger predictions_next_event after update on predictions
        for each row when (
            new.status <> old.status
            or new.fence <> old.fence
            or new.retry_at is distinct from old.retry_at
            or new.progress_rows is distinct from old.progress_rows)
        execute function write_prediction_event()
    """,
)

TABLES = (
    # What was deleted, and when: all that is left of a prediction. At `sweep_at` the API's sweep checks that
    # the deletion came to its end and that no overtaken worker has left files since; null: it has.
    """
    create table receipts (
        prediction_id  uuid primary key,
        tenant_id      text not null,
        receipt        jsonb not null check (jsonb_typeof(receipt) = 'object'),
        deleted_at     timestamptz not null default now(),
        sweep_at       timestamptz default now() + interval '1 minute'
    )
    """,
    "create index receipts_to_sweep on receipts (sweep_at) where sweep_at is not null",
    # The answer to the first request under a key. `status` is null while that request is in flight.
    """
    create table idempotency_keys (
        tenant_id     text not null,
        key           text not null check (length(key) between 1 and 255),
        fingerprint   text not null,
        status        integer check (status between 200 and 599),
        headers       jsonb,
        body          bytea,
        created_at    timestamptz not null default now(),
        locked_until  timestamptz,
        primary key (tenant_id, key)
    )
    """,
    "create index idempotency_keys_by_age on idempotency_keys (created_at)",
    # Saved mappings of a model's features to headers, offered again for a file with the same headers.
    """
    create table mappings (
        tenant_id       text not null,
        name            text not null check (length(name) between 1 and 100),
        model_name      text not null,
        headers         text[] not null,
        headers_sha256  text not null check (headers_sha256 ~ '^[0-9a-f]{64}$'),
        mapping         jsonb not null check (jsonb_typeof(mapping) = 'object'),
        values          jsonb not null default '{}' check (jsonb_typeof(values) = 'object'),
        revision        bigint not null default 1,
        created_at      timestamptz not null default now(),
        updated_at      timestamptz not null default now(),
        primary key (tenant_id, name)
    )
    """,
    "create index mappings_by_headers on mappings (tenant_id, headers_sha256)",
)

ROLES = (
    # What one request of one tenant may do. The API's requests run as this role (`role=retainwise_requests`
    # at connect); its relay and its sweeps, which serve all tenants, go on as retainwise_producer, which
    # inherits nothing from it.
    """
    do $$
    begin
        create role retainwise_requests nologin;
        grant retainwise_requests to retainwise_producer with inherit false, set true;
    exception when duplicate_object or unique_violation then
        null;  -- by the migration of another database of this server
    end
    $$
    """,
    *(
        f"alter table {table} enable row level security"
        for table in (
            *("uploads", "predictions", "prediction_events"),
            *("receipts", "idempotency_keys", "mappings"),
        )
    ),
    # A query that forgets its tenant sees nothing, and writes nothing.
    *(
        f"""
        create policy requests_of_the_tenant on {table} to retainwise_requests
            using (tenant_id = current_setting('retainwise.tenant_id', true))
            with check (tenant_id = current_setting('retainwise.tenant_id', true))
        """
        for table in (
            *("uploads", "predictions", "prediction_events", "outbox"),
            *("receipts", "idempotency_keys", "mappings"),
        )
    ),
    "create policy requests_delete_ended on predictions as restrictive for delete to retainwise_requests"
    " using (finished_at is not null)",
    "grant select on alembic_version to retainwise_requests",
    """
    grant select,
          insert (upload_id, tenant_id, bucket, object_key, version_id, file_name, size_bytes, sha256, state,
                  declared_size, declared_sha256, multipart_id, part_bytes, expires_at, completed_at),
          update (state, version_id, size_bytes, sha256, multipart_id, part_bytes, expires_at, completed_at,
                  deleted_at),
          delete
          on uploads to retainwise_requests
    """,
    # Of the statuses it may write CANCELLED and EXPIRED; the constraints of all others need more columns.
    """
    grant select,
          insert (prediction_id, tenant_id, upload_id, model_name, model_version, requested_at, deadline,
                  label, metadata, retry_of, mapping, options),
          update (label, metadata, status, finished_at, lease_token, lease_owner, lease_until, retry_reason,
                  retry_at),
          delete
          on predictions to retainwise_requests
    """,
    "grant select on prediction_events to retainwise_requests",
    # It reads whether the end of a prediction is announced before it deletes it.
    """
    grant select (destination, prediction_id, tenant_id, sent_at),
          insert (destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)
          on outbox to retainwise_requests
    """,
    "grant select, insert (prediction_id, tenant_id, receipt) on receipts to retainwise_requests",
    """
    grant select,
          insert (tenant_id, key, fingerprint, status, headers, body, locked_until),
          update (fingerprint, status, headers, body, created_at, locked_until),
          delete
          on idempotency_keys to retainwise_requests
    """,
    """
    grant select,
          insert (tenant_id, name, model_name, headers, headers_sha256, mapping, values),
          update (model_name, headers, headers_sha256, mapping, values, revision, updated_at),
          delete
          on mappings to retainwise_requests
    """,
    # The API's relay and sweeps serve all tenants, and so did the requests of the release before.
    "create policy producer_adds on uploads for insert to retainwise_producer with check (true)",
    "create policy producer_reads on uploads for select to retainwise_producer using (true)",
    """
    create policy producer_expires on uploads for update to retainwise_producer
        using (state <> 'READY') with check (state = 'DELETED')
    """,
    "create policy producer_forgets on uploads for delete to retainwise_producer using (state <> 'READY')",
    "create policy producer_writes on predictions to retainwise_producer using (true) with check (true)",
    "create policy producer_forgets on idempotency_keys to retainwise_producer using (true)",
    "create policy producer_sweeps on receipts to retainwise_producer using (true) with check (true)",
    "grant update (state, deleted_at), delete on uploads to retainwise_producer",
    "grant select, update (sweep_at) on receipts to retainwise_producer",
    "grant select (tenant_id, key, created_at), delete on idempotency_keys to retainwise_producer",
    # The worker serves all tenants too. A receipt says that a prediction it was sent is deleted.
    "create policy worker_reads on uploads for select to retainwise_worker using (true)",
    "create policy worker_writes on predictions to retainwise_worker using (true) with check (true)",
    "create policy worker_reads on receipts for select to retainwise_worker using (true)",
    "grant update (progress_rows, progress_total) on predictions to retainwise_worker",
    "grant select (prediction_id, tenant_id) on receipts to retainwise_worker",
    # To tell whether a message that names a prediction is the one that was sent for it.
    "grant select (message_id) on outbox to retainwise_worker",
)


def upgrade() -> None:
    """Add what the API's endpoints read and write, the events, and the role of a tenant's requests."""
    for statement in (*UPLOADS, *PREDICTIONS, *EVENTS, *TABLES, *ROLES):
        op.execute(statement)

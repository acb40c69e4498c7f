"""Uploads, predictions and the outbox, with a database role for each service."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = ("pre_release",)
depends_on = None

STATEMENTS = (
    # The customer's file. The API writes it once; the message has all that a worker needs of it.
    """
    create table uploads (
        upload_id    uuid primary key,
        tenant_id    text not null check (tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'),
        bucket       text not null,
        object_key   text not null unique,
        version_id   text,
        file_name    text check (length(file_name) <= 255),
        size_bytes   bigint not null check (size_bytes > 0),
        sha256       text not null check (sha256 ~ '^[0-9a-f]{64}$'),
        created_at   timestamptz not null default now()
    )
    """,
    # One prediction each row. The API writes it as QUEUED and, after that, only sqs_message_id and
    # sqs_queued_at; every later change is written by the worker that holds the highest fence.
    """
    create table predictions (
        prediction_id    uuid primary key,
        tenant_id        text not null check (tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'),
        upload_id        uuid not null references uploads,
        model_name       text not null,
        model_version    text not null,
        status           text not null default 'QUEUED'
            check (status in ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'EXPIRED')),
        requested_at     timestamptz not null default now(),
        deadline         timestamptz,
        sqs_message_id   text,
        sqs_queued_at    timestamptz,
        -- The fence rises by one with each claim: whoever holds an older one can no longer write.
        fence            bigint not null default 0 check (fence >= 0),
        attempt          integer not null default 0 check (attempt >= 0),
        lease_owner      text,
        lease_until      timestamptz,
        started_at       timestamptz,
        -- Why the last attempt failed and when the next may start, while one is left.
        retry_reason     text,
        retry_at         timestamptz,
        finished_at      timestamptz,
        rows_total       bigint check (rows_total >= 0),
        rows_scored      bigint check (rows_scored >= 0),
        rows_rejected    bigint check (rows_rejected >= 0),
        summary          jsonb,
        result           jsonb,
        failure          jsonb,
        constraint a_lease_has_an_owner check ((lease_owner is null) = (lease_until is null)),
        constraint a_message_has_its_time check ((sqs_message_id is null) = (sqs_queued_at is null)),
        constraint queued_is_untouched check (
            status <> 'QUEUED' or (fence = 0 and started_at is null and lease_until is null)),
        constraint running_has_started check (status <> 'RUNNING' or (fence > 0 and started_at is not null)),
        constraint final_has_its_time check (
            (status in ('COMPLETED', 'FAILED', 'CANCELLED', 'EXPIRED')) = (finished_at is not null)),
        constraint final_holds_no_lease check (finished_at is null or lease_until is null),
        constraint completed_has_its_result check (
            (status = 'COMPLETED') = (result is not null)
            and (status = 'COMPLETED') = (summary is not null)
            and (status = 'COMPLETED') = (rows_total is not null)
            and (status <> 'COMPLETED' or started_at is not null)),
        constraint rows_add_up check (
            (rows_total is null and rows_scored is null and rows_rejected is null)
            or (rows_total is not null and rows_scored is not null and rows_rejected is not null
                and rows_total = rows_scored + rows_rejected)),
        constraint failed_has_its_code check (
            (status <> 'FAILED' or (failure ->> 'code') is not null)
            and (status in ('FAILED', 'EXPIRED', 'CANCELLED') or failure is null))
    )
    """,
    "create index predictions_by_tenant on predictions (tenant_id, requested_at desc)",
    "create index predictions_unfinished on predictions (requested_at) where finished_at is null",
    # Messages to send, written in the same transaction as the change they announce.
    """
    create table outbox (
        outbox_id      bigint generated always as identity primary key,
        destination    text not null check (destination in ('predictions', 'events')),
        message_id     uuid not null unique,
        message_type   text not null,
        prediction_id  uuid not null references predictions,
        tenant_id      text not null,
        traceparent    text,
        body           text not null,
        created_at     timestamptz not null default now(),
        attempts       integer not null default 0,
        last_error     text,
        sent_at        timestamptz
    )
    """,
    "create index outbox_unsent on outbox (destination, attempts, outbox_id) where sent_at is null",
    "create index outbox_sent on outbox (sent_at) where sent_at is not null",
    "create index outbox_by_prediction on outbox (prediction_id)",
    # The transitions of retainwise_contracts.status.ALLOWED_TRANSITIONS; a test proves that both agree.
    """
    create function require_allowed_move() returns trigger language plpgsql as $$
    begin
        if new.status <> old.status and not (
            (old.status = 'QUEUED' and new.status in ('RUNNING', 'FAILED', 'CANCELLED', 'EXPIRED'))
            or (old.status = 'RUNNING' and new.status in ('COMPLETED', 'FAILED', 'CANCELLED', 'EXPIRED'))
        ) then
            raise exception 'a prediction cannot go from % to %', old.status, new.status
                using errcode = 'check_violation', constraint = 'allowed_move';
        end if;
        if new.fence < old.fence then
            raise exception 'a fence cannot fall'
                using errcode = 'check_violation', constraint = 'fence_rises';
        end if;
        return new;
    end
    $$
    """,
    """
    create trigger predictions_allowed_move before update on predictions
        for each row execute function require_allowed_move()
    """,
    # Roles belong to the whole server: a migration of another database may have created them already, or
    # be creating them now.
    """
    do $$
    declare
        role_name text;
    begin
        foreach role_name in array array['retainwise_producer', 'retainwise_worker'] loop
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end loop;
    end
    $$
    """,
    # Each role may do what its service's queries.sql does, and no more.
    "grant select on alembic_version to retainwise_producer, retainwise_worker",
    "grant insert on uploads to retainwise_producer",
    """
    grant select,
          insert (prediction_id, tenant_id, upload_id, model_name, model_version, requested_at, deadline),
          update (sqs_message_id, sqs_queued_at)
          on predictions to retainwise_producer
    """,
    """
    grant select, insert (destination, message_id, message_type, prediction_id, tenant_id, traceparent, body),
          update (attempts, last_error, sent_at), delete
          on outbox to retainwise_producer
    """,
    """
    grant select,
          update (status, fence, attempt, lease_owner, lease_until, started_at, retry_reason, retry_at,
                  finished_at, rows_total, rows_scored, rows_rejected, summary, result, failure)
          on predictions to retainwise_worker
    """,
    """
    grant select (destination, prediction_id, sent_at, attempts),
          insert (destination, message_id, message_type, prediction_id, tenant_id, traceparent, body),
          update (sent_at)
          on outbox to retainwise_worker
    """,
)


def upgrade() -> None:
    """Create the tables, the status trigger and the roles."""
    for statement in STATEMENTS:
        op.execute(statement)

"""Lease token and crash count; tenant foreign keys; final predictions; row-level security on the outbox."""

from alembic import op

revision = "0002"
down_revision = "0001"
# pre_release: the release before this one writes none of the new columns and breaks none of the new rules.
branch_labels = None
depends_on = None

STATEMENTS = (
    # A worker that lost the answer to its claim finds its own claim by the token and goes on.
    "alter table predictions add column lease_token uuid",
    # A worker that died while it held the prediction. That is no attempt of the file's own.
    "alter table predictions add column crashes integer not null default 0 check (crashes >= 0)",
    # When a worker parked the message because it could not read it: it waits for a redrive, it is not lost.
    "alter table predictions add column parked_at timestamptz",
    # An upload, its prediction and their messages are of one tenant, whoever writes the rows.
    "alter table uploads add constraint uploads_of_a_tenant unique (tenant_id, upload_id)",
    "alter table predictions add constraint predictions_of_a_tenant unique (tenant_id, prediction_id)",
    """
    alter table predictions add constraint upload_of_the_same_tenant
        foreign key (tenant_id, upload_id) references uploads (tenant_id, upload_id)
    """,
    """
    alter table outbox add constraint prediction_of_the_same_tenant
        foreign key (tenant_id, prediction_id) references predictions (tenant_id, prediction_id)
    """,
    # What a finished prediction says stays as it is. Only the relay may still note the message it sent.
    """
    create function keep_finished_prediction() returns trigger language plpgsql as $$
    begin
        if to_jsonb(new) - array['sqs_message_id', 'sqs_queued_at']
            is distinct from to_jsonb(old) - array['sqs_message_id', 'sqs_queued_at'] then
            raise exception 'a finished prediction cannot be changed'
                using errcode = 'check_violation', constraint = 'finished_is_final';
        end if;
        return new;
    end
    $$
    """,
    """
    create trigger predictions_finished_is_final before update on predictions
        for each row when (old.finished_at is not null) execute function keep_finished_prediction()
    """,
    # The worker writes events and can have a request sent again. It cannot write a request of its own.
    "alter table outbox enable row level security",
    """
    create policy producer_sends on outbox to retainwise_producer using (true) with check (true)
    """,
    "create policy worker_reads on outbox for select to retainwise_worker using (true)",
    """
    create policy worker_adds_events on outbox for insert to retainwise_worker
        with check (destination = 'events')
    """,
    """
    create policy worker_sends_again on outbox for update to retainwise_worker
        using (destination = 'predictions') with check (destination = 'predictions')
    """,
    "grant update (lease_token, crashes, parked_at) on predictions to retainwise_worker",
    # To compare what a message says with what was uploaded.
    """
    grant select (upload_id, tenant_id, bucket, object_key, version_id, size_bytes, sha256)
        on uploads to retainwise_worker
    """,
    # To find objects in the bucket that no upload stands for.
    "grant select on uploads to retainwise_producer",
)


def upgrade() -> None:
    """Add columns, tie every row to its tenant, and guard finished predictions and requests."""
    for statement in STATEMENTS:
        op.execute(statement)

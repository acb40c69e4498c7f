"""Indexes for the API's lists and sweeps, and the history of what was finished before events were written.

Each statement is a transaction of its own, and repeating it does no harm: on a large table it takes a while,
in which the release before goes on. Reads never wait for it, and a write for one index at most.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
# pre_release: the release before this one needs none of the indexes and reads no history.
branch_labels = None
depends_on = None

STATEMENTS = (
    # A tenant's list, newest first, whole or filtered. What `q` looks for is compared row by row on the way.
    """
    create index if not exists predictions_in_order on predictions
        (tenant_id, requested_at desc, prediction_id desc)
    """,
    "drop index if exists predictions_by_tenant",
    """
    create index if not exists predictions_by_status on predictions
        (tenant_id, status, requested_at desc, prediction_id desc)
    """,
    """
    create index if not exists predictions_by_model on predictions
        (tenant_id, model_name, model_version, requested_at desc, prediction_id desc)
    """,
    """
    create index if not exists predictions_by_label on predictions
        (tenant_id, label, requested_at desc, prediction_id desc) where label is not null
    """,
    """
    create index if not exists predictions_by_original on predictions
        (tenant_id, retry_of, requested_at desc, prediction_id desc) where retry_of is not null
    """,
    """
    create index if not exists predictions_failed on predictions
        (tenant_id, finished_at) where failure is not null
    """,
    """
    create index if not exists predictions_in_flight on predictions
        (tenant_id) where finished_at is null
    """,
    "create index if not exists predictions_by_upload on predictions (upload_id)",
    # How far the workers have come in the queue: the newest message whose prediction has begun.
    """
    create index if not exists predictions_begun on predictions
        (sqs_queued_at) where started_at is not null
    """,
    # To count a tenant's, and for the sweep, which serves all tenants: what has expired or is to be removed.
    """
    create index if not exists uploads_awaiting_by_tenant on uploads
        (tenant_id) where state = 'AWAITING'
    """,
    "create index if not exists uploads_awaiting on uploads (expires_at) where state = 'AWAITING'",
    "create index if not exists uploads_deleted on uploads (deleted_at) where state = 'DELETED'",
    """
    insert into prediction_events (tenant_id, prediction_id, sequence, type, at, detail)
    select tenant_id, prediction_id, row_number() over (partition by prediction_id order by step),
        type, at, detail
    from predictions,
        lateral (values
            (1, 'queued', requested_at, '{}'::jsonb),
            (2, 'running', started_at, jsonb_build_object('attempt', attempt)),
            (3, lower(status), finished_at, case status
                when 'COMPLETED' then jsonb_build_object(
                    'rows_total', rows_total, 'rows_scored', rows_scored, 'rows_rejected', rows_rejected)
                when 'FAILED' then jsonb_build_object('code', failure ->> 'code')
                else '{}'
            end)
        ) as event (step, type, at, detail)
    where finished_at is not null
        and at is not null
        and not exists (
            select from prediction_events as written
            where written.prediction_id = predictions.prediction_id
        )
    """,
)


def upgrade() -> None:
    """Create the indexes and write the history."""
    with op.get_context().autocommit_block():
        for statement in STATEMENTS:
            op.execute(statement)

-- name: read_schema_revision()$
-- The database's schema revision.
select version_num from alembic_version;

-- name: insert_upload(upload_id, tenant_id, bucket, object_key, version_id, file_name, size_bytes, sha256)!
-- A file that is completely stored.
insert into uploads (upload_id, tenant_id, bucket, object_key, version_id, file_name, size_bytes, sha256)
values (:upload_id, :tenant_id, :bucket, :object_key, :version_id, :file_name, :size_bytes, :sha256);

-- name: insert_prediction(prediction_id, tenant_id, upload_id, model_name, model_version, requested_at, deadline)!
-- A QUEUED prediction, in the same transaction as its upload and its message.
insert into predictions
    (prediction_id, tenant_id, upload_id, model_name, model_version, requested_at, deadline)
values (:prediction_id, :tenant_id, :upload_id, :model_name, :model_version, :requested_at, :deadline);

-- name: insert_message(destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)!
-- A message for the relay, in the same transaction as what it announces.
insert into outbox (destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)
values (:destination, :message_id, :message_type, :prediction_id, :tenant_id, :traceparent, :body);

-- name: read_prediction(prediction_id, tenant_id)^
-- One prediction of one tenant. Another tenant's prediction gives no row, like an unknown id.
select prediction_id, status, model_name, model_version, requested_at, sqs_queued_at, started_at, finished_at,
    deadline, attempt, retry_reason, retry_at, coalesce(lease_until > now(), false) as is_held, rows_total, rows_scored, rows_rejected,
    summary, result, failure
from predictions
where prediction_id = :prediction_id and tenant_id = :tenant_id;

-- name: lock_unsent_messages(destination, at_most)
-- The next messages to send, locked by this transaction. Those that failed before come last, so that a message
-- that can never be sent does not block the others.
select outbox_id, message_id, message_type, prediction_id, tenant_id, traceparent, body
from outbox
where sent_at is null and destination = :destination
order by attempts, outbox_id
limit :at_most
for update skip locked;

-- name: mark_messages_sent(outbox_ids)!
-- By the transaction that locked them.
update outbox
set sent_at = now(), attempts = attempts + 1, last_error = null
where outbox_id = any(:outbox_ids::bigint[]);

-- name: mark_messages_failed(outbox_ids, errors)!
-- They stay unsent and are tried again; the error says why they were not accepted.
update outbox
set attempts = attempts + 1, last_error = failed.error
from unnest(:outbox_ids::bigint[], :errors::text[]) as failed (outbox_id, error)
where outbox.outbox_id = failed.outbox_id;

-- name: mark_predictions_queued(prediction_ids, sqs_message_ids)!
-- When each prediction was sent to the queue, and as which SQS message.
update predictions
set sqs_message_id = queued.sqs_message_id, sqs_queued_at = now()
from unnest(:prediction_ids::uuid[], :sqs_message_ids::text[]) as queued (prediction_id, sqs_message_id)
where predictions.prediction_id = queued.prediction_id;

-- name: measure_outbox(destination)^
-- The number of unsent messages and the age of the oldest. Counts at most 10,000, since it runs every second.
select count(*) as unsent, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as lag_seconds
from (
    select created_at
    from outbox
    where sent_at is null and destination = :destination
    order by attempts, outbox_id
    limit 10000
) as first;

-- name: purge_messages(sent_seconds_ago, at_most)!
-- Delete messages sent long ago whose prediction has ended. Others may have to be sent a second time.
delete from outbox
where outbox_id in (
    select outbox_id
    from outbox
    join predictions using (prediction_id)
    where sent_at < now() - make_interval(secs => :sent_seconds_ago) and finished_at is not null
    order by sent_at
    limit :at_most
);

-- name: lock_sweep()$
-- Whether this connection has become the one that sweeps uploads. The number is ours, and means nothing.
select pg_try_advisory_lock(7206543001);

-- name: find_uploads(upload_ids)
-- Those of these uploads that have a row.
select upload_id from uploads where upload_id = any(:upload_ids::uuid[]);

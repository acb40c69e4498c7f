-- name: read_schema_revision()$
-- The revision the database stands at.
select version_num from alembic_version;

-- name: insert_upload(upload_id, tenant_id, bucket, object_key, version_id, file_name, size_bytes, sha256)!
-- A file that is stored in full.
insert into uploads (upload_id, tenant_id, bucket, object_key, version_id, file_name, size_bytes, sha256)
values (:upload_id, :tenant_id, :bucket, :object_key, :version_id, :file_name, :size_bytes, :sha256);

-- name: insert_prediction(prediction_id, tenant_id, upload_id, model_name, model_version, requested_at, deadline)!
-- A prediction as QUEUED, in the transaction of its upload and its message.
insert into predictions
    (prediction_id, tenant_id, upload_id, model_name, model_version, requested_at, deadline)
values (:prediction_id, :tenant_id, :upload_id, :model_name, :model_version, :requested_at, :deadline);

-- name: insert_message(destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)!
-- A message that is certain to be sent, in the transaction that makes it true.
insert into outbox (destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)
values (:destination, :message_id, :message_type, :prediction_id, :tenant_id, :traceparent, :body);

-- name: read_prediction(prediction_id, tenant_id)^
-- One prediction of one tenant. Another tenant's is no row, as an unknown one is.
select prediction_id, status, model_name, model_version, requested_at, sqs_queued_at, started_at, finished_at,
    deadline, attempt, retry_reason, retry_at, coalesce(lease_until > now(), false) as is_held, rows_total, rows_scored, rows_rejected,
    summary, result, failure
from predictions
where prediction_id = :prediction_id and tenant_id = :tenant_id;

-- name: lock_unsent_messages(destination, at_most)
-- The next messages to send, for this transaction alone. Those that failed before come last, so that one that
-- can never be sent holds up no other.
select outbox_id, message_id, message_type, prediction_id, tenant_id, traceparent, body
from outbox
where sent_at is null and destination = :destination
order by attempts, outbox_id
limit :at_most
for update skip locked;

-- name: mark_messages_sent(outbox_ids)!
-- Sent: by the transaction that holds them.
update outbox
set sent_at = now(), attempts = attempts + 1, last_error = null
where outbox_id = any(:outbox_ids::bigint[]);

-- name: mark_messages_failed(outbox_ids, errors)!
-- Not sent, and why; they stay unsent and are tried again.
update outbox
set attempts = attempts + 1, last_error = failed.error
from unnest(:outbox_ids::bigint[], :errors::text[]) as failed (outbox_id, error)
where outbox.outbox_id = failed.outbox_id;

-- name: mark_predictions_queued(prediction_ids, sqs_message_ids)!
-- Which message carries each prediction, and since when.
update predictions
set sqs_message_id = queued.sqs_message_id, sqs_queued_at = now()
from unnest(:prediction_ids::uuid[], :sqs_message_ids::text[]) as queued (prediction_id, sqs_message_id)
where predictions.prediction_id = queued.prediction_id;

-- name: measure_outbox(destination)^
-- How many messages wait, and for how long the oldest of them has; of a backlog its first 10,000 alone, since
-- this is asked every second.
select count(*) as unsent, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as lag_seconds
from (
    select created_at
    from outbox
    where sent_at is null and destination = :destination
    order by attempts, outbox_id
    limit 10000
) as first;

-- name: purge_messages(sent_seconds_ago, at_most)!
-- Forget messages sent long ago, of predictions that have ended: of others one may have to be sent again.
delete from outbox
where outbox_id in (
    select outbox_id
    from outbox
    join predictions using (prediction_id)
    where sent_at < now() - make_interval(secs => :sent_seconds_ago) and finished_at is not null
    order by sent_at
    limit :at_most
);

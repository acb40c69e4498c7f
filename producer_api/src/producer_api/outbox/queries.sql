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

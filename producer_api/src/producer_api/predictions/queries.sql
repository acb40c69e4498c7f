-- name: lock_upload(upload_id, tenant_id)$
-- The state of a file, which stays as it is until this transaction has ended.
select state from uploads where upload_id = :upload_id and tenant_id = :tenant_id for share;

-- name: insert_prediction(prediction_id, tenant_id, upload_id, model_name, model_version, mapping, options, label, metadata, retry_of, requested_at, deadline)!
-- A QUEUED prediction, in the same transaction as its message.
insert into predictions
    (prediction_id, tenant_id, upload_id, model_name, model_version, mapping, options, label, metadata, retry_of,
    requested_at, deadline)
values (:prediction_id, :tenant_id, :upload_id, :model_name, :model_version, :mapping, :options, :label, :metadata,
    :retry_of, :requested_at, :deadline);

-- name: insert_message(destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)!
-- A message for the relay, in the same transaction as what it announces.
insert into outbox (destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)
values (:destination, :message_id, :message_type, :prediction_id, :tenant_id, :traceparent, :body);

-- name: read_predictions(prediction_ids, tenant_id)
-- Some predictions of one tenant. Another tenant's gives no row, like an unknown id.
select prediction_id, status, model_name, model_version, requested_at, sqs_queued_at, started_at, finished_at,
    deadline, attempt, retry_reason, retry_at, coalesce(lease_until > now(), false) as is_held,
    rows_total, rows_scored, rows_rejected, progress_rows, progress_total, summary, result, failure,
    mapping, options, label, metadata, retry_of, revision, upload_id, file_name, size_bytes, sha256
from predictions
join uploads using (tenant_id, upload_id)
where prediction_id = any(:prediction_ids::uuid[]) and tenant_id = :tenant_id;

-- name: find_newest(tenant_id, statuses, model_name, model_version, since, until, label, pattern, after_at, after_id, at_most)
-- The predictions of a tenant that fit all filters, each of which may be null, from the newest down.
select prediction_id, requested_at
from predictions
join uploads using (tenant_id, upload_id)
where tenant_id = :tenant_id
    and (:statuses::text[] is null or status = any(:statuses))
    and (:model_name::text is null or model_name = :model_name)
    and (:model_version::text is null or model_version = :model_version)
    and (:since::timestamptz is null or requested_at >= :since)
    and (:until::timestamptz is null or requested_at < :until)
    and (:label::text is null or label = :label)
    and (:pattern::text is null or label ilike :pattern or file_name ilike :pattern)
    and (:after_at::timestamptz is null or (requested_at, prediction_id) < (:after_at, :after_id::uuid))
order by requested_at desc, prediction_id desc
limit :at_most;

-- name: find_oldest(tenant_id, statuses, model_name, model_version, since, until, label, pattern, after_at, after_id, at_most)
-- The same from the oldest up.
select prediction_id, requested_at
from predictions
join uploads using (tenant_id, upload_id)
where tenant_id = :tenant_id
    and (:statuses::text[] is null or status = any(:statuses))
    and (:model_name::text is null or model_name = :model_name)
    and (:model_version::text is null or model_version = :model_version)
    and (:since::timestamptz is null or requested_at >= :since)
    and (:until::timestamptz is null or requested_at < :until)
    and (:label::text is null or label = :label)
    and (:pattern::text is null or label ilike :pattern or file_name ilike :pattern)
    and (:after_at::timestamptz is null or (requested_at, prediction_id) > (:after_at, :after_id::uuid))
order by requested_at, prediction_id
limit :at_most;

-- name: lock_prediction(prediction_id, tenant_id)$
-- A prediction's status, which stays as it is until this transaction has ended.
select status from predictions where prediction_id = :prediction_id and tenant_id = :tenant_id for update;

-- name: describe_prediction(prediction_id, tenant_id, label, metadata)!
-- What a tenant writes on a prediction, whether or not it has finished.
update predictions
set label = :label, metadata = :metadata
where prediction_id = :prediction_id and tenant_id = :tenant_id;

-- name: cancel_prediction(prediction_id, tenant_id)^
-- End a prediction that has not finished. Its worker, if it has one, hears of it within a second.
update predictions
set status = 'CANCELLED',
    finished_at = now(),
    lease_token = null,
    lease_owner = null,
    lease_until = null,
    retry_reason = null,
    retry_at = null
where prediction_id = :prediction_id and tenant_id = :tenant_id and finished_at is null
returning model_name, model_version, attempt, requested_at, finished_at;

-- name: read_events(prediction_id, tenant_id, after, at_most)
-- What happened to a prediction after an event, in order.
select sequence, type, at, detail
from prediction_events
where prediction_id = :prediction_id and tenant_id = :tenant_id and sequence > :after
order by sequence
limit :at_most;

-- name: read_doomed(prediction_id, tenant_id)^
-- What a deletion begins with: how the prediction ended, where its files are, and whether all its messages are
-- sent. One that the relay is sending is locked, and would be deleted unheard.
select status, predictions.result, upload_id, uploads.object_key, uploads.sha256,
    not exists (
        select
        from outbox
        where outbox.prediction_id = predictions.prediction_id
            and outbox.tenant_id = predictions.tenant_id
            and sent_at is null
    ) as is_sent
from predictions
join uploads using (tenant_id, upload_id)
where prediction_id = :prediction_id and tenant_id = :tenant_id;

-- name: lock_upload_to_delete(upload_id, tenant_id)!
-- Nobody can have the file scored again until this transaction has ended.
select from uploads where upload_id = :upload_id and tenant_id = :tenant_id for update;

-- name: is_upload_shared(upload_id, tenant_id, prediction_id)$
-- Whether another prediction is of the same file.
select exists (
    select
    from predictions
    where upload_id = :upload_id and tenant_id = :tenant_id and prediction_id <> :prediction_id
);

-- name: count_messages(prediction_id, tenant_id)^
-- How many events and messages a prediction has.
select
    (select count(*) from prediction_events where prediction_id = :prediction_id and tenant_id = :tenant_id)
        as events,
    (select count(*) from outbox where prediction_id = :prediction_id and tenant_id = :tenant_id) as messages;

-- name: delete_prediction(prediction_id, tenant_id)!
-- A finished prediction, and with it its events and its messages.
delete from predictions where prediction_id = :prediction_id and tenant_id = :tenant_id;

-- name: delete_upload(upload_id, tenant_id)!
-- A file that no prediction is of any more.
delete from uploads where upload_id = :upload_id and tenant_id = :tenant_id;

-- name: delete_kept_answers(tenant_id, paths)!
-- Answers kept for a repeated request: they hold what is deleted.
delete from idempotency_keys
where tenant_id = :tenant_id
    and (headers ->> 'Location' = any(:paths::text[]) or headers ->> 'Content-Location' = any(:paths::text[]));

-- name: insert_receipt(prediction_id, tenant_id, receipt)$
-- What was deleted, and when.
insert into receipts (prediction_id, tenant_id, receipt)
values (:prediction_id, :tenant_id, :receipt)
returning deleted_at;

-- name: read_receipt(prediction_id, tenant_id)^
-- The receipt of a prediction that is deleted.
select receipt, deleted_at from receipts where prediction_id = :prediction_id and tenant_id = :tenant_id;

-- name: find_due_receipts(at_most)
-- Deletions whose objects are to be looked for: again, or at all, if the first request died in between.
select prediction_id, tenant_id, receipt
from receipts
where sweep_at <= now()
order by sweep_at
limit :at_most;

-- name: settle_receipt(prediction_id, quiet_seconds)!
-- Its objects are deleted. They are looked for once more, when no worker can still be storing any.
update receipts
set sweep_at = case
    when now() < deleted_at + make_interval(secs => :quiet_seconds)
    then deleted_at + make_interval(secs => :quiet_seconds)
end
where prediction_id = :prediction_id;

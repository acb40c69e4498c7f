-- name: read_schema_revision()$
-- The revision of the schema.
select version_num from alembic_version;

-- name: probe_database()$
-- Whether this connection can write: after a failover it may lead to a replica.
select not current_setting('transaction_read_only')::bool;

-- name: claim_prediction(prediction_id, tenant_id, bucket, object_key, version_id, size_bytes, sha256, model_name, model_version, lease_token, lease_owner, lease_seconds)^
-- Take a prediction that nobody holds: the fence rises, so that whoever held it before can no longer write. What
-- the message says of it must be what the row says. Under the token that holds it already, the claim is the same
-- one: its answer was lost. An expired lease is that of a worker that died; the attempt it began is not counted.
update predictions
set status = 'RUNNING',
    fence = fence + (lease_token is distinct from :lease_token)::int,
    attempt = attempt + (lease_until is null)::int,
    crashes = crashes + (lease_until is not null and lease_token is distinct from :lease_token)::int,
    lease_token = :lease_token,
    lease_owner = :lease_owner,
    lease_until = now() + make_interval(secs => :lease_seconds),
    started_at = coalesce(started_at, now()),
    parked_at = null,
    retry_reason = null,
    retry_at = null
from uploads
where predictions.prediction_id = :prediction_id
    and uploads.upload_id = predictions.upload_id
    and predictions.tenant_id = :tenant_id
    and uploads.bucket = :bucket
    and uploads.object_key = :object_key
    and uploads.version_id is not distinct from :version_id
    and uploads.size_bytes = :size_bytes
    and uploads.sha256 = :sha256
    and predictions.model_name = :model_name
    and predictions.model_version = :model_version
    and predictions.finished_at is null
    and (lease_until is null or lease_until < now() or lease_token = :lease_token)
returning fence, attempt, crashes, coalesce(deadline <= now(), false) as is_overdue;

-- name: read_prediction(prediction_id)^
-- What a message is compared with, who holds the prediction and for how long, or how it ended.
select predictions.tenant_id, bucket, object_key, version_id, size_bytes, sha256, model_name, model_version,
    status, fence, lease_until is not null as is_held,
    extract(epoch from lease_until - now())::float8 as lease_seconds_left
from predictions
join uploads using (upload_id)
where prediction_id = :prediction_id;

-- name: find_ended(prediction_ids)
-- Which of these have ended while a worker is working on them: an operator cancelled them, for one.
select prediction_id
from predictions
where prediction_id = any(:prediction_ids::uuid[]) and finished_at is not null;

-- name: renew_lease(prediction_id, fence, lease_seconds)$
-- Keep a claim, together with the message's visibility. No row: another worker has it now.
update predictions
set lease_until = now() + make_interval(secs => :lease_seconds)
where prediction_id = :prediction_id and fence = :fence and lease_until is not null
returning true;

-- name: release_prediction(prediction_id, fence, interrupted, retry_reason, retry_seconds)$
-- Release a claim at once, so that the next attempt need not wait for the lease to expire.
update predictions
set lease_token = null,
    lease_owner = null,
    lease_until = null,
    attempt = attempt - :interrupted::bool::int,
    retry_reason = :retry_reason,
    retry_at = now() + make_interval(secs => :retry_seconds)
where prediction_id = :prediction_id and fence = :fence and lease_until is not null
returning true;

-- name: release_orphaned_claims(prediction_ids, lease_tokens)!
-- Release, as interrupted, the claims of a worker that could not reach the database to do so or to hear of them.
update predictions
set lease_token = null,
    lease_owner = null,
    lease_until = null,
    attempt = attempt - 1,
    retry_reason = 'interrupted',
    retry_at = now()
from unnest(:prediction_ids::uuid[], :lease_tokens::uuid[]) as orphaned (prediction_id, lease_token)
where predictions.prediction_id = orphaned.prediction_id
    and predictions.lease_token = orphaned.lease_token
    and finished_at is null;

-- name: mark_parked(prediction_id, tenant_id)!
-- No worker of this release can read its message, which waits in the dead-letter queue: it is not lost.
update predictions
set parked_at = now()
where prediction_id = :prediction_id and tenant_id = :tenant_id and finished_at is null and parked_at is null;

-- name: complete_prediction(prediction_id, fence, rows_total, rows_scored, rows_rejected, summary, result)^
-- Store a result, unless another worker has claimed the prediction since.
update predictions
set status = 'COMPLETED',
    finished_at = now(),
    lease_token = null,
    lease_owner = null,
    lease_until = null,
    rows_total = :rows_total,
    rows_scored = :rows_scored,
    rows_rejected = :rows_rejected,
    summary = :summary,
    result = :result
where prediction_id = :prediction_id and fence = :fence and status = 'RUNNING'
returning requested_at, finished_at;

-- name: end_prediction(prediction_id, fence, status, failure)^
-- End a prediction without a result, as FAILED or EXPIRED, unless it was claimed since or has ended.
update predictions
set status = :status,
    finished_at = now(),
    lease_token = null,
    lease_owner = null,
    lease_until = null,
    retry_reason = null,
    retry_at = null,
    failure = :failure
where prediction_id = :prediction_id and fence = :fence and finished_at is null
returning prediction_id, tenant_id, model_name, model_version, status, attempt, requested_at, finished_at;

-- name: insert_event(message_id, message_type, prediction_id, tenant_id, traceparent, body)!
-- The event for other teams, in the transaction that makes it true; the API's relay sends it.
insert into outbox (destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)
values ('events', :message_id, :message_type, :prediction_id, :tenant_id, :traceparent, :body);

-- name: lock_reconciler()$
-- True for the one replica that may reconcile, until its transaction ends.
select pg_try_advisory_xact_lock(hashtext('retainwise.reconciler'));

-- name: find_overdue_predictions(at_most)
-- What nobody is working on and whose deadline has passed; locked until it is ended.
select prediction_id, fence
from predictions
where finished_at is null
    and deadline < now()
    and (lease_until is null or lease_until < now())
order by deadline
limit :at_most
for update skip locked;

-- name: lock_parked_prediction(prediction_id, tenant_id, bucket, object_key, version_id, size_bytes, sha256, model_name, model_version, silent_seconds)^
-- The prediction of a parked message that says what the row says, unless it has ended, is held or will be
-- retried: the parked message may have been a duplicate. An attempt whose worker died has not failed.
select prediction_id, fence, attempt - (lease_until is not null)::int as failed_attempts
from predictions
join uploads using (upload_id)
where prediction_id = :prediction_id
    and predictions.tenant_id = :tenant_id
    and bucket = :bucket
    and object_key = :object_key
    and version_id is not distinct from :version_id
    and size_bytes = :size_bytes
    and sha256 = :sha256
    and model_name = :model_name
    and model_version = :model_version
    and finished_at is null
    and (lease_until is null or lease_until < now())
    and (retry_at is null or retry_at < now() - make_interval(secs => :silent_seconds))
for update of predictions;

-- name: send_again(prediction_id)!
-- Have the API's relay send the prediction's message again.
update outbox
set sent_at = null
where destination = 'predictions' and prediction_id = :prediction_id;

-- name: find_unsendable_predictions(silent_seconds, at_most)
-- What was never sent although it was tried for so long; locked until it is ended.
select predictions.prediction_id, predictions.fence
from predictions
join outbox using (prediction_id)
where finished_at is null
    and sqs_queued_at is null
    and requested_at < now() - make_interval(secs => :silent_seconds)
    and destination = 'predictions'
    and sent_at is null
    and attempts > 0
order by requested_at
limit :at_most
for update of predictions skip locked;

-- name: give_up_messages(prediction_ids)!
-- Have the API's relay try no more.
update outbox
set sent_at = now()
where prediction_id = any(:prediction_ids::uuid[]) and destination = 'predictions' and sent_at is null;

-- name: requeue_lost_predictions(queue_is_empty, lost_seconds, retention_seconds, max_doublings, at_most)
-- Have the API's relay send the message again, of what nobody has touched for `lost_seconds` although no message
-- can be ahead of it: the queue is empty or keeps none for so long, or what was queued later was claimed so long
-- ago. That is a proof for the same tenant; another tenant's is one only for a tenant of whose nothing is being
-- worked on, since the queue serves tenants in turn. Each time the wait doubles: a message may only be late.
with silent as (
    select prediction_id, tenant_id, requested_at, sqs_queued_at
    from predictions
    where finished_at is null
        and parked_at is null
        and sqs_queued_at < now() - make_interval(secs => :lost_seconds)
        and (lease_until is null or lease_until < now() - make_interval(secs => :lost_seconds))
        and (retry_at is null or retry_at < now() - make_interval(secs => :lost_seconds))
),
claimed as materialized (
    select max(sqs_queued_at) as queued_at
    from predictions
    where started_at < now() - make_interval(secs => :lost_seconds)
),
lost as (
    select prediction_id
    from silent
    where :queue_is_empty
        or sqs_queued_at < now() - make_interval(secs => :retention_seconds)
        or exists (
            select
            from predictions as later
            where later.tenant_id = silent.tenant_id
                and later.requested_at >= silent.requested_at
                and later.sqs_queued_at > silent.sqs_queued_at
                and later.started_at < now() - make_interval(secs => :lost_seconds)
        )
        or (
            sqs_queued_at < (select queued_at from claimed)
            and not exists (
                select
                from predictions as running
                where running.tenant_id = silent.tenant_id
                    and running.finished_at is null
                    and running.lease_until > now()
            )
        )
    order by requested_at
    limit :at_most
)
update outbox
set sent_at = null
from lost
where outbox.prediction_id = lost.prediction_id
    and destination = 'predictions'
    and sent_at < now() - make_interval(
        secs => :lost_seconds * 2 ^ least(greatest(attempts - 1, 0), :max_doublings)
    )
returning outbox.prediction_id;

-- name: find_finished(prediction_ids)
-- Which of these predictions have ended, and the files of their results: what they say never changes again.
select prediction_id, tenant_id, result
from predictions
where prediction_id = any(:prediction_ids::uuid[]) and finished_at is not null;

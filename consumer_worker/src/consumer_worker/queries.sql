-- name: read_schema_revision()$
-- The revision of the schema.
select version_num from alembic_version;

-- name: claim_prediction(prediction_id, lease_owner, lease_seconds)^
-- Take a prediction that nobody holds: the fence rises, so that whoever held it before can no longer write.
update predictions
set status = 'RUNNING',
    fence = fence + 1,
    attempt = attempt + 1,
    lease_owner = :lease_owner,
    lease_until = now() + make_interval(secs => :lease_seconds),
    started_at = coalesce(started_at, now()),
    retry_reason = null,
    retry_at = null
where prediction_id = :prediction_id
    and finished_at is null
    and (lease_until is null or lease_until < now())
returning fence, attempt;

-- name: read_claim(prediction_id)^
-- Why a claim was refused: who holds it and for how long, or how it ended.
select status, extract(epoch from lease_until - now())::float8 as lease_seconds_left
from predictions
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
where prediction_id = :prediction_id and fence = :fence and finished_at is null
returning true;

-- name: release_prediction(prediction_id, fence, interrupted, retry_reason, retry_seconds)$
-- Release a claim at once, so that the next attempt need not wait for the lease to lapse.
update predictions
set lease_owner = null,
    lease_until = null,
    attempt = attempt - :interrupted::bool::int,
    retry_reason = :retry_reason,
    retry_at = now() + make_interval(secs => :retry_seconds)
where prediction_id = :prediction_id and fence = :fence and finished_at is null
returning true;

-- name: complete_prediction(prediction_id, fence, rows_total, rows_scored, rows_rejected, summary, result)^
-- Store a result, unless another worker has claimed the prediction since.
update predictions
set status = 'COMPLETED',
    finished_at = now(),
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

-- name: find_exhausted_predictions(max_attempts, silent_seconds, at_most)
-- What has used up its attempts and whose last worker died without releasing it; locked until it is ended.
select prediction_id, fence
from predictions
where finished_at is null
    and status = 'RUNNING'
    and attempt >= :max_attempts
    and lease_until < now() - make_interval(secs => :silent_seconds)
order by lease_until
limit :at_most
for update skip locked;

-- name: find_parked_prediction(prediction_id, silent_seconds)^
-- The prediction of a parked message, unless it has ended, or a worker is working on it or will be: the parked
-- message may have been a duplicate.
select prediction_id, fence
from predictions
where prediction_id = :prediction_id
    and finished_at is null
    and (lease_until is null or lease_until < now() - make_interval(secs => :silent_seconds))
    and (retry_at is null or retry_at < now() - make_interval(secs => :silent_seconds))
for update;

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

-- name: requeue_lost_predictions(silent_seconds, at_most)
-- Have the API's relay send the message again, of what nobody has touched for so long.
update outbox
set sent_at = null
where destination = 'predictions'
    and prediction_id in (
        select prediction_id
        from predictions
        where finished_at is null
            and sqs_queued_at < now() - make_interval(secs => :silent_seconds)
            and (lease_until is null or lease_until < now() - make_interval(secs => :silent_seconds))
            and (retry_at is null or retry_at < now() - make_interval(secs => :silent_seconds))
        order by requested_at
        limit :at_most
    )
    and sent_at < now() - make_interval(secs => :silent_seconds)
returning prediction_id;

-- name: read_schema_revision()$
-- The revision the database stands at.
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
select status, attempt, extract(epoch from lease_until - now())::float8 as lease_seconds_left
from predictions
where prediction_id = :prediction_id;

-- name: renew_lease(prediction_id, fence, lease_seconds)$
-- Keep a claim, together with the message's visibility. No row: another worker has it now.
update predictions
set lease_until = now() + make_interval(secs => :lease_seconds)
where prediction_id = :prediction_id and fence = :fence and finished_at is null
returning true;

-- name: release_prediction(prediction_id, fence, interrupted, retry_reason, retry_seconds)$
-- Give a claim back at once, so that the next attempt need not wait for the lease to lapse.
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
-- End a prediction without a result, as FAILED or EXPIRED, unless another worker has claimed it since.
update predictions
set status = :status,
    finished_at = now(),
    lease_owner = null,
    lease_until = null,
    retry_reason = null,
    retry_at = null,
    failure = :failure
where prediction_id = :prediction_id and fence = :fence and status = 'RUNNING'
returning requested_at, finished_at, attempt;

-- name: insert_event(message_id, message_type, prediction_id, tenant_id, traceparent, body)!
-- The event that tells other teams, in the transaction that makes it true; the API's relay sends it.
insert into outbox (destination, message_id, message_type, prediction_id, tenant_id, traceparent, body)
values ('events', :message_id, :message_type, :prediction_id, :tenant_id, :traceparent, :body);

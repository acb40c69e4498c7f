-- name: claim_key(tenant_id, key, fingerprint, lock_seconds, keep_seconds)^
-- Take a key that is new, outlived, or whose request has died. If another request has it: what it asked for, and
-- its answer once there is one; no row if it has come in this very moment.
with claimed as (
    insert into idempotency_keys as held (tenant_id, key, fingerprint, locked_until)
    values (:tenant_id, :key, :fingerprint, clock_timestamp() + make_interval(secs => :lock_seconds))
    on conflict (tenant_id, key) do update
        set fingerprint = excluded.fingerprint, status = null, headers = null, body = null,
            created_at = clock_timestamp(), locked_until = excluded.locked_until
        where held.created_at < clock_timestamp() - make_interval(secs => :keep_seconds)
            or (held.status is null and held.locked_until < clock_timestamp())
    returning created_at
)
select true as is_ours, created_at, null as fingerprint, null as status, null as headers, null as body
from claimed
union all
select false, created_at, fingerprint, status, headers, body
from idempotency_keys
where tenant_id = :tenant_id and key = :key and not exists (select from claimed);

-- name: renew_key(tenant_id, key, created_at, lock_seconds)!
-- Keep a key while its request is still under way.
update idempotency_keys
set locked_until = clock_timestamp() + make_interval(secs => :lock_seconds)
where tenant_id = :tenant_id and key = :key and created_at = :created_at and status is null;

-- name: complete_key(tenant_id, key, created_at, fingerprint, status, headers, body)$
-- Keep the answer, in the transaction that does the work; null if another request has taken the key over.
update idempotency_keys
set fingerprint = :fingerprint, status = :status, headers = :headers, body = :body
where tenant_id = :tenant_id and key = :key and created_at = :created_at and status is null
returning true;

-- name: free_key(tenant_id, key, created_at)!
-- Give up a key whose request has failed, so that it can be tried again.
delete from idempotency_keys
where tenant_id = :tenant_id and key = :key and created_at = :created_at and status is null;

-- name: forget_keys(keep_seconds)!
-- Delete the answers that are no longer kept.
delete from idempotency_keys where created_at < clock_timestamp() - make_interval(secs => :keep_seconds);

-- name: has_unfinished(tenant_id, at_least)$
-- Whether a tenant has so many unfinished predictions; no more than these are counted.
select count(*) >= :at_least
from (
    select from predictions where tenant_id = :tenant_id and finished_at is null limit :at_least
) as unfinished;

-- name: lock_sweep()$
-- Whether this connection has become the one that sweeps uploads. The number is ours, and means nothing.
select pg_try_advisory_lock(7206543001);

-- name: find_uploads(upload_ids)
-- Those of these uploads that have a row.
select upload_id from uploads where upload_id = any(:upload_ids::uuid[]);

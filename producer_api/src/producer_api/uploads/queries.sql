-- name: lock_sweep()$
-- Whether this connection has become the one that sweeps uploads. The number is ours, and means nothing.
select pg_try_advisory_lock(7206543001);

-- name: find_uploads(upload_ids)
-- Those of these uploads that have a row.
select upload_id from uploads where upload_id = any(:upload_ids::uuid[]);

-- name: insert_ready_upload(upload_id, tenant_id, bucket, object_key, version_id, file_name, size_bytes, sha256)^
-- A file that is completely stored.
insert into uploads (upload_id, tenant_id, bucket, object_key, version_id, file_name, size_bytes, sha256, completed_at)
values (:upload_id, :tenant_id, :bucket, :object_key, :version_id, :file_name, :size_bytes, :sha256, now())
returning upload_id, state, object_key, version_id, file_name, size_bytes, sha256, declared_size, declared_sha256,
    multipart_id, part_bytes, created_at, expires_at, completed_at;

-- name: insert_awaiting_upload(upload_id, tenant_id, bucket, object_key, file_name, declared_size, declared_sha256, multipart_id, part_bytes, expires_at)^
-- A file that its customer will send straight to S3.
insert into uploads
    (upload_id, tenant_id, bucket, object_key, file_name, state, declared_size, declared_sha256, multipart_id, part_bytes, expires_at)
values
    (:upload_id, :tenant_id, :bucket, :object_key, :file_name, 'AWAITING', :declared_size, :declared_sha256, :multipart_id, :part_bytes, :expires_at)
returning upload_id, state, object_key, version_id, file_name, size_bytes, sha256, declared_size, declared_sha256,
    multipart_id, part_bytes, created_at, expires_at, completed_at;

-- name: has_awaiting(tenant_id, at_least)$
-- Whether a tenant has so many uploads under way; no more than these are counted.
select count(*) >= :at_least
from (
    select from uploads where tenant_id = :tenant_id and state = 'AWAITING' limit :at_least
) as awaiting;

-- name: read_upload(upload_id, tenant_id)^
-- One upload of one tenant. One that is being deleted gives no row, like an unknown id.
select upload_id, state, object_key, version_id, file_name, size_bytes, sha256, declared_size, declared_sha256,
    multipart_id, part_bytes, created_at, expires_at, completed_at
from uploads
where upload_id = :upload_id and tenant_id = :tenant_id and state <> 'DELETED';

-- name: complete_upload(upload_id, tenant_id, version_id, size_bytes, sha256)^
-- What was found in the object, if the upload still waits for it.
update uploads
set state = 'READY', version_id = :version_id, size_bytes = :size_bytes, sha256 = :sha256, completed_at = now()
where upload_id = :upload_id and tenant_id = :tenant_id and state = 'AWAITING'
returning upload_id, state, object_key, version_id, file_name, size_bytes, sha256, declared_size, declared_sha256,
    multipart_id, part_bytes, created_at, expires_at, completed_at;

-- name: lock_upload(upload_id, tenant_id)^
-- The state of an upload, which no prediction can begin to use until this transaction ends.
select state, object_key, multipart_id from uploads
where upload_id = :upload_id and tenant_id = :tenant_id for update;

-- name: is_used(upload_id, tenant_id)$
-- Whether a prediction is of this file.
select exists (select from predictions where upload_id = :upload_id and tenant_id = :tenant_id);

-- name: mark_deleted(upload_id, tenant_id)!
-- From now on nobody sees it. The row stays until its objects are gone.
update uploads set state = 'DELETED', deleted_at = coalesce(deleted_at, now())
where upload_id = :upload_id and tenant_id = :tenant_id;

-- name: delete_upload(upload_id, tenant_id)!
-- The row of a deleted upload, after its objects.
delete from uploads where upload_id = :upload_id and tenant_id = :tenant_id and state = 'DELETED';

-- name: mark_expired(before, limit)!
-- Uploads of all tenants that were never completed.
update uploads set state = 'DELETED', deleted_at = now()
where upload_id in (
    select upload_id from uploads where state = 'AWAITING' and expires_at < :before
    order by expires_at limit :limit for update skip locked
);

-- name: find_deleted(limit)
-- Deleted uploads of all tenants whose objects may still be there.
select upload_id, object_key, multipart_id from uploads
where state = 'DELETED'
order by deleted_at limit :limit;

-- name: forget_uploads(upload_ids)!
-- The rows of deleted uploads, after their objects.
delete from uploads where upload_id = any(:upload_ids::uuid[]) and state = 'DELETED';

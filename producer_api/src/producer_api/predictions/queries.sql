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

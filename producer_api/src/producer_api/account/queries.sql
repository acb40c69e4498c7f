-- name: count_unfinished(tenant_id)$
-- How many predictions of a tenant are unfinished.
select count(*) from predictions where tenant_id = :tenant_id and finished_at is null;

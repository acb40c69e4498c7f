-- name: count_failures(tenant_id, since)
-- How many predictions of a tenant have failed since a time, by code and day (UTC).
select failure ->> 'code' as code, (finished_at at time zone 'UTC')::date as day, count(*) as failures
from predictions
where tenant_id = :tenant_id and failure is not null and finished_at >= :since
group by 1, 2
order by 1, 2;

-- name: read_failure_samples(tenant_id, since, at_most)
-- The latest failed predictions of each code.
select code, prediction_id, label, file_name, message, finished_at
from (
    select failure ->> 'code' as code, prediction_id, label, upload_id, failure ->> 'message' as message, finished_at,
        row_number() over (partition by failure ->> 'code' order by finished_at desc, prediction_id) as place
    from predictions
    where tenant_id = :tenant_id and failure is not null and finished_at >= :since
) as failed
join uploads using (upload_id)
where place <= :at_most
order by code, place;

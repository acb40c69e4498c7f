-- name: list_mappings(tenant_id, after, limit)
-- A page of a tenant's mappings, by name.
select name, model_name, headers, mapping, values, revision, created_at, updated_at from mappings
where tenant_id = :tenant_id and name > :after
order by name limit :limit;

-- name: read_mapping(tenant_id, name)^
-- One mapping of one tenant.
select name, model_name, headers, mapping, values, revision, created_at, updated_at from mappings
where tenant_id = :tenant_id and name = :name;

-- name: lock_mapping(tenant_id, name)^
-- One mapping of one tenant, which nobody else changes until this transaction ends.
select name, model_name, headers, mapping, values, revision, created_at, updated_at from mappings
where tenant_id = :tenant_id and name = :name for update;

-- name: has_mappings(tenant_id, at_least)$
-- Whether a tenant has so many mappings; no more than these are counted.
select count(*) >= :at_least from (select from mappings where tenant_id = :tenant_id limit :at_least) as saved;

-- name: insert_mapping(tenant_id, name, model_name, headers, headers_sha256, mapping, values)^
-- A new mapping; no row if another request has saved one under this name meanwhile.
insert into mappings (tenant_id, name, model_name, headers, headers_sha256, mapping, values)
values (:tenant_id, :name, :model_name, :headers, :headers_sha256, :mapping, :values)
on conflict do nothing
returning name, model_name, headers, mapping, values, revision, created_at, updated_at;

-- name: update_mapping(tenant_id, name, model_name, headers, headers_sha256, mapping, values)^
-- A mapping as it is from now on.
update mappings
set model_name = :model_name, headers = :headers, headers_sha256 = :headers_sha256, mapping = :mapping,
    values = :values, revision = revision + 1, updated_at = now()
where tenant_id = :tenant_id and name = :name
returning name, model_name, headers, mapping, values, revision, created_at, updated_at;

-- name: delete_mapping(tenant_id, name)!
-- One mapping of one tenant.
delete from mappings where tenant_id = :tenant_id and name = :name;

-- name: find_names(tenant_id, model_name, headers_sha256, limit)
-- The names of mappings for these headers, the newest first.
select name from mappings
where tenant_id = :tenant_id and model_name = :model_name and headers_sha256 = :headers_sha256
order by updated_at desc, name limit :limit;

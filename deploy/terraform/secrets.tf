# The services' connection URLs. The migration makes the logins and writes these values (deploy/migrations), so
# that no password is in Terraform's state.

resource "aws_secretsmanager_secret" "database_url" {
  for_each                = toset([local.producer, local.worker])
  name                    = "${local.name}/${each.key}/database-url"
  description             = "DATABASE_URL of ${each.key}; written by the migration"
  recovery_window_in_days = 7
}

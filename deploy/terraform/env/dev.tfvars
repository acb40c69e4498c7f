environment = "dev"
region      = "eu-central-1"

certificate_arn = "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
issuer = {
  issuer   = "https://login.dev.example.com/"
  audience = "https://api.dev.example.com"
  jwks_url = "https://login.dev.example.com/.well-known/jwks.json"
}
cors_allowed_origins = ["http://localhost:3000"]
alert_emails         = ["team@example.com"]
state_bucket         = "example-terraform-state"
github               = { repository = "example/retainwise", create_provider = false }

monthly_budget_usd = 150
log_retention_days = 30
max_upload_bytes   = 104857600

producer = { cpu = 512, memory_mib = 1024, min_tasks = 1, max_tasks = 2, max_concurrent_uploads = 8 }
worker   = { cpu = 1024, memory_mib = 4096, min_tasks = 1, max_tasks = 3, max_concurrent_messages = 4 }

database = {
  version         = "18"
  instance_class  = "db.t4g.small"
  storage_gib     = 20
  multi_az        = false
  backup_days     = 7
  max_connections = 150
}

environment = "prod"
region      = "eu-central-1"

# Your own values: the domain's certificate, the identity provider, the repository, who is alerted.
certificate_arn = "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
issuer = {
  issuer   = "https://login.example.com/"
  audience = "https://api.example.com"
  jwks_url = "https://login.example.com/.well-known/jwks.json"
}
cors_allowed_origins = ["https://app.example.com"]
alert_emails         = ["oncall@example.com"]
state_bucket         = "example-terraform-state"
github               = { repository = "example/retainwise", create_provider = true }

zones              = 3
monthly_budget_usd = 900

producer = { cpu = 1024, memory_mib = 2048, min_tasks = 2, max_tasks = 6, max_concurrent_uploads = 32 }
worker   = { cpu = 2048, memory_mib = 8192, min_tasks = 2, max_tasks = 20, max_concurrent_messages = 8 }

database = {
  version         = "18"
  instance_class  = "db.m7g.large"
  storage_gib     = 100
  multi_az        = true
  backup_days     = 35
  max_connections = 600
}

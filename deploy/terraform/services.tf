# The two services: what each may do, what it is told, how large it is.

locals {
  producer_port        = 8080
  worker_health_port   = 8081
  stop_timeout_seconds = 120 # Fargate's limit, above what either service takes to stop

  policy_names = {
    queue_arn             = aws_sqs_queue.predictions.arn
    dead_letter_queue_arn = aws_sqs_queue.dead_letters.arn
    topic_arn             = aws_sns_topic.prediction_events.arn
    bucket_arn            = aws_s3_bucket.files.arn
    producer_secret_arn   = aws_secretsmanager_secret.database_url[local.producer].arn
    worker_secret_arn     = aws_secretsmanager_secret.database_url[local.worker].arn
  }

  shared_environment = {
    AWS_REGION            = var.region
    BUCKET_NAME           = aws_s3_bucket.files.bucket
    PREDICTIONS_QUEUE_URL = aws_sqs_queue.predictions.url
    LOG_LEVEL             = var.log_level
  }
}

module "producer" {
  source = "./modules/service"

  name           = "${local.name}-producer-api"
  image          = local.images[local.producer]
  repository_arn = aws_ecr_repository.images[local.producer].arn
  policy         = templatefile("${path.module}/policies/producer.json", local.policy_names)

  environment = merge(local.shared_environment, {
    PREDICTION_EVENTS_TOPIC_ARN = aws_sns_topic.prediction_events.arn
    JWKS_URL                    = var.issuer.jwks_url
    JWT_ISSUER                  = var.issuer.issuer
    JWT_AUDIENCE                = var.issuer.audience
    CORS_ALLOWED_ORIGINS        = join(",", var.cors_allowed_origins)
    ENABLE_SQS                  = tostring(var.enable_sqs)
    HTTP_PORT                   = tostring(local.producer_port)
    MAX_UPLOAD_BYTES            = tostring(var.max_upload_bytes)
    MAX_CONCURRENT_UPLOADS      = tostring(var.producer.max_concurrent_uploads)
    SHUTDOWN_DELAY_SECONDS      = "5"
    SHUTDOWN_GRACE_SECONDS      = "95" # with the delay and the last answers (15 s) below the stop timeout
  })
  secrets = { DATABASE_URL = aws_secretsmanager_secret.database_url[local.producer].arn }

  cpu                  = var.producer.cpu
  memory_mib           = var.producer.memory_mib
  port                 = local.producer_port
  liveness_port        = local.producer_port
  stop_timeout_seconds = local.stop_timeout_seconds
  log_retention_days   = var.log_retention_days

  cluster_arn          = aws_ecs_cluster.main.arn
  gate                 = terraform_data.gate.id
  min_tasks            = var.producer.min_tasks
  network              = local.task_network
  security_group_id    = aws_security_group.producer.id
  target_group_arn     = aws_lb_listener.https.default_action[0].target_group_arn # not before it has a listener
  rollback_alarm_names = local.rollback_alarms[local.producer]
}

module "worker" {
  source = "./modules/service"

  name           = "${local.name}-consumer-worker"
  image          = local.images[local.worker]
  repository_arn = aws_ecr_repository.images[local.worker].arn
  policy         = templatefile("${path.module}/policies/worker.json", local.policy_names)

  environment = merge(local.shared_environment, {
    PREDICTIONS_DLQ_URL        = aws_sqs_queue.dead_letters.url
    VISIBILITY_TIMEOUT_SECONDS = tostring(var.visibility_timeout_seconds)
    MAX_CONCURRENT_MESSAGES    = tostring(var.worker.max_concurrent_messages)
    SCRATCH_DIRECTORY          = "/scratch"
    HEALTH_PORT                = tostring(local.worker_health_port)
    SHUTDOWN_GRACE_SECONDS     = "110"
  })
  secrets = { DATABASE_URL = aws_secretsmanager_secret.database_url[local.worker].arn }

  cpu        = var.worker.cpu
  memory_mib = var.worker.memory_mib

  # Five times the largest upload for each message handled at once (the upload, its parts, the results), and 4 GiB
  # for the image and the rest.
  ephemeral_storage_gib = max(21, 4 + ceil(5 * var.worker.max_concurrent_messages * var.max_upload_bytes / pow(1024, 3)))
  writable_folders      = { tmp = "/tmp", scratch = "/scratch" }
  liveness_port         = local.worker_health_port
  stop_timeout_seconds  = local.stop_timeout_seconds
  log_retention_days    = var.log_retention_days

  cluster_arn          = aws_ecs_cluster.main.arn
  gate                 = terraform_data.gate.id
  min_tasks            = var.worker.min_tasks
  network              = local.task_network
  security_group_id    = aws_security_group.worker.id
  rollback_alarm_names = local.rollback_alarms[local.worker]
}

# What must succeed before a service changes: the migration, then `check` of each new task definition, with its own
# roles, secrets and network. A missing variable, permission or secret ends the deployment here, and the services
# go on with what they run.

module "migrate" {
  source = "./modules/task"

  name           = "${local.name}-migrate"
  image          = local.images["migrate"]
  repository_arn = aws_ecr_repository.images["migrate"].arn
  policy         = templatefile("${path.module}/policies/migrate.json", local.policy_names)

  environment = {
    AWS_REGION          = var.region
    DATABASE_HOST       = aws_db_instance.main.address
    DATABASE_PORT       = tostring(aws_db_instance.main.port)
    DATABASE_NAME       = aws_db_instance.main.db_name
    PRODUCER_SECRET_ARN = aws_secretsmanager_secret.database_url[local.producer].arn
    WORKER_SECRET_ARN   = aws_secretsmanager_secret.database_url[local.worker].arn
  }
  secrets = {
    OWNER_USER     = "${aws_db_instance.main.master_user_secret[0].secret_arn}:username::"
    OWNER_PASSWORD = "${aws_db_instance.main.master_user_secret[0].secret_arn}:password::"
  }

  cpu                = 512
  memory_mib         = 1024
  log_retention_days = var.log_retention_days
}

resource "terraform_data" "gate" {
  triggers_replace = [
    module.migrate.definition_arn,
    module.producer.task_definition_arn,
    module.worker.task_definition_arn,
  ]

  provisioner "local-exec" {
    command = join(" ", [var.gate_command,
      "--cluster", aws_ecs_cluster.main.name,
      "--region", var.region,
      "--subnets", join(",", local.task_network.subnets),
      "--public-ip", local.task_network.assign_public_ip ? "ENABLED" : "DISABLED",
      "--run", "${module.migrate.definition_arn}=${aws_security_group.worker.id}",
      "--check", "${module.producer.task_definition_arn}=${aws_security_group.producer.id}",
      "--check", "${module.worker.task_definition_arn}=${aws_security_group.worker.id}",
    ])
  }

  depends_on = [
    aws_route.internet,
    aws_route.nat,
    aws_s3_bucket_policy.files,
    aws_sqs_queue_redrive_policy.predictions,
    aws_vpc_security_group_egress_rule.tasks_https,
    aws_vpc_security_group_egress_rule.tasks_database,
    aws_vpc_security_group_ingress_rule.database,
  ]
}

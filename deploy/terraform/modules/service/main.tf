# Keeps tasks of one definition running. Terraform alone makes definitions: nothing else may register one, or the
# two would undo each other's work.

module "task" {
  source = "../task"

  name                  = var.name
  image                 = var.image
  repository_arn        = var.repository_arn
  policy                = var.policy
  environment           = var.environment
  secrets               = var.secrets
  cpu                   = var.cpu
  memory_mib            = var.memory_mib
  ephemeral_storage_gib = var.ephemeral_storage_gib
  writable_folders      = var.writable_folders
  port                  = var.port
  liveness_port         = var.liveness_port
  stop_timeout_seconds  = var.stop_timeout_seconds
  log_retention_days    = var.log_retention_days
}

resource "aws_ecs_service" "this" {
  name            = var.name
  cluster         = var.cluster_arn
  task_definition = module.task.definition_arn
  desired_count   = var.min_tasks

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = var.deployment_maximum_percent
  availability_zone_rebalancing      = "ENABLED"
  health_check_grace_period_seconds  = var.target_group_arn == null ? null : 60
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"

  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }

  network_configuration {
    subnets          = var.network.subnets
    assign_public_ip = var.network.assign_public_ip
    security_groups  = [var.security_group_id]
  }

  dynamic "load_balancer" {
    for_each = var.target_group_arn == null ? [] : [var.target_group_arn]

    content {
      target_group_arn = load_balancer.value
      container_name   = "main"
      container_port   = var.port
    }
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    enable      = true
    rollback    = true
    alarm_names = var.rollback_alarm_names
  }

  # A rolled back deployment ends in a steady state too: of the definition before.
  wait_for_steady_state = true

  lifecycle {
    ignore_changes = [desired_count] # the scaling's

    postcondition {
      condition     = self.task_definition == module.task.definition_arn
      error_message = "${var.name} was rolled back: it does not run the new task definition. See the service's events and the log of the stopped tasks."
    }
  }

  depends_on = [var.gate]
}

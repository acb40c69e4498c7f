# Workers follow the work, not the messages: one minute of a worker is a thousand small files or two huge ones.
# BacklogSeconds is how long one worker would take for all that waits.

locals {
  worker_service_id   = "service/${aws_ecs_cluster.main.name}/${module.worker.name}"
  producer_service_id = "service/${aws_ecs_cluster.main.name}/${module.producer.name}"
  emf_worker          = { Service = local.worker, Environment = var.environment }
  ecs_worker          = { ClusterName = aws_ecs_cluster.main.name, ServiceName = module.worker.name }

  backlog_per_task = "FILL(backlog, 0) / IF(FILL(running, 1) > 0, FILL(running, 1), 1)"
}

resource "aws_appautoscaling_target" "worker" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = local.worker_service_id
  min_capacity       = var.worker.min_tasks
  max_capacity       = var.worker.max_tasks # bounded by the database's connections, which a check adds up
}

resource "aws_appautoscaling_policy" "worker_backlog" {
  name               = "${local.name}-worker-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker.service_namespace
  scalable_dimension = aws_appautoscaling_target.worker.scalable_dimension
  resource_id        = aws_appautoscaling_target.worker.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 60 # seconds of work per running task
    scale_out_cooldown = 60
    scale_in_cooldown  = 600 # slow: a stopped worker's files begin again elsewhere

    customized_metric_specification {
      metrics {
        id          = "backlog"
        return_data = false

        metric_stat {
          stat = "Maximum"

          metric {
            namespace   = "RetainWise"
            metric_name = "BacklogSeconds"

            dynamic "dimensions" {
              for_each = local.emf_worker

              content {
                name  = dimensions.key
                value = dimensions.value
              }
            }
          }
        }
      }

      metrics {
        id          = "running"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dynamic "dimensions" {
              for_each = local.ecs_worker

              content {
                name  = dimensions.key
                value = dimensions.value
              }
            }
          }
        }
      }

      metrics {
        id          = "backlog_per_task"
        expression  = local.backlog_per_task
        label       = "Seconds of work per running task"
        return_data = true
      }
    }
  }
}

# Target tracking adds in proportion, but waits for three data points; a burst needs workers now.
resource "aws_appautoscaling_policy" "worker_burst" {
  name               = "${local.name}-worker-burst"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.worker.service_namespace
  scalable_dimension = aws_appautoscaling_target.worker.scalable_dimension
  resource_id        = aws_appautoscaling_target.worker.resource_id

  step_scaling_policy_configuration {
    adjustment_type          = "PercentChangeInCapacity"
    min_adjustment_magnitude = 2
    metric_aggregation_type  = "Maximum"
    cooldown                 = 60

    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 100
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "worker_burst" {
  alarm_name          = "${local.name}-worker-burst"
  alarm_description   = "Adds workers at once: more than 300 seconds of work for each. No action by a person."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.worker_burst.arn]

  metric_query {
    id = "backlog"

    metric {
      namespace   = "RetainWise"
      metric_name = "BacklogSeconds"
      dimensions  = local.emf_worker
      stat        = "Maximum"
      period      = 60
    }
  }

  metric_query {
    id = "running"

    metric {
      namespace   = "ECS/ContainerInsights"
      metric_name = "RunningTaskCount"
      dimensions  = local.ecs_worker
      stat        = "Average"
      period      = 60
    }
  }

  metric_query {
    id          = "backlog_per_task"
    expression  = local.backlog_per_task
    label       = "Seconds of work per running task"
    return_data = true
  }
}

resource "aws_appautoscaling_target" "producer" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = local.producer_service_id
  min_capacity       = var.producer.min_tasks
  max_capacity       = var.producer.max_tasks
}

resource "aws_appautoscaling_policy" "producer_cpu" {
  name               = "${local.name}-producer-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.producer.service_namespace
  scalable_dimension = aws_appautoscaling_target.producer.scalable_dimension
  resource_id        = aws_appautoscaling_target.producer.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 50
    scale_out_cooldown = 60
    scale_in_cooldown  = 600

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

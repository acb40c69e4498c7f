# Every alarm is a row of deploy/alarms.json, with why it is there and the runbook's page for it.

locals {
  producer_name = "${local.name}-producer-api" # by name, since a service waits for the alarms that roll it back
  worker_name   = "${local.name}-consumer-worker"

  # As it stands in the file, and with the names, some of which AWS makes up.
  alarms = jsondecode(file("${path.module}/alarms.json")).alarms
  named_alarms = jsondecode(templatefile("${path.module}/alarms.json", {
    environment       = var.environment
    cluster           = aws_ecs_cluster.main.name
    producer          = local.producer_name
    worker            = local.worker_name
    queue             = aws_sqs_queue.predictions.name
    dead_letter_queue = aws_sqs_queue.dead_letters.name
    load_balancer     = aws_lb.main.arn_suffix
    target_group      = aws_lb_target_group.producer.arn_suffix
    database          = aws_db_instance.main.identifier
    max_connections   = var.database.max_connections
    max_workers       = var.worker.max_tasks
  })).alarms

  rollback_alarms = {
    for service in [local.producer, local.worker] : service => sort([
      for name, alarm in local.alarms : aws_cloudwatch_metric_alarm.this[name].alarm_name
      if contains(alarm.rolls_back, service)
    ])
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.severity}: ${each.value.why} Runbook: deploy/runbook/${each.value.page}"
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.datapoints
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id          = metric_query.key
      return_data = each.value.expression == metric_query.key

      metric {
        namespace   = local.named_alarms[each.key].metrics[metric_query.key].namespace
        metric_name = metric_query.value.name
        dimensions  = local.named_alarms[each.key].metrics[metric_query.key].dimensions
        stat        = metric_query.value.statistic
        period      = each.value.period_seconds
      }
    }
  }

  dynamic "metric_query" {
    for_each = contains(keys(each.value.metrics), each.value.expression) ? [] : [each.value.expression]

    content {
      id          = "result"
      expression  = local.named_alarms[each.key].expression
      label       = each.key
      return_data = true
    }
  }
}

# A service that refuses to start says so in one line of its log, before it could write metrics of its own.
resource "aws_cloudwatch_log_metric_filter" "start_refused" {
  for_each       = { (local.producer) = module.producer.log_group_name, (local.worker) = module.worker.log_group_name }
  name           = "${local.name}-start-refused-${replace(each.key, "_", "-")}"
  log_group_name = each.value
  pattern        = "{ $.event = \"startup_refused\" }"

  metric_transformation {
    namespace  = "RetainWise/${var.environment}"
    name       = "StartRefused"
    value      = "1"
    dimensions = { Service = "$.service" }
  }
}

# Events that are no metrics, to the same topic.
resource "aws_cloudwatch_event_rule" "this" {
  for_each = {
    deployment-failed = {
      description = "A deployment did not come up and was rolled back"
      pattern = {
        source      = ["aws.ecs"]
        detail-type = ["ECS Deployment State Change"]
        resources   = [{ wildcard = "arn:aws:ecs:*:*:service/${local.name}/*" }]
        detail      = { eventName = ["SERVICE_DEPLOYMENT_FAILED"] }
      }
    }
    out-of-memory = {
      description = "A task was killed for want of memory"
      pattern = {
        source      = ["aws.ecs"]
        detail-type = ["ECS Task State Change"]
        detail = {
          clusterArn = [aws_ecs_cluster.main.arn]
          lastStatus = ["STOPPED"]
          containers = { reason = [{ prefix = "OutOfMemoryError" }] }
        }
      }
    }
  }

  name          = "${local.name}-${each.key}"
  description   = each.value.description
  event_pattern = jsonencode(each.value.pattern)
}

resource "aws_cloudwatch_event_target" "alerts" {
  for_each = aws_cloudwatch_event_rule.this
  rule     = each.value.name
  arn      = aws_sns_topic.alerts.arn
}

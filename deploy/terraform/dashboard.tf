# One page: do customers wait, does work fail, is there room.

locals {
  graphs = [
    {
      title   = "How long the oldest file waits, and the work per worker (s)"
      stat    = "Maximum"
      metrics = [["RetainWise", "OldestQueuedSeconds"], ["RetainWise", "BacklogSeconds"]]
      dims    = local.emf_worker
    },
    {
      title   = "Files that failed"
      stat    = "Sum"
      metrics = [["RetainWise", "FailedByUs"], ["RetainWise", "FailedByUser"]]
      dims    = local.emf_worker
    },
    {
      title   = "Requests and server errors"
      stat    = "Sum"
      metrics = [["RetainWise", "Requests"], ["RetainWise", "ServerErrors"]]
      dims    = { Service = local.producer, Environment = var.environment }
    },
    {
      title   = "Reads, 99th percentile (s)"
      stat    = "p99"
      metrics = [["RetainWise", "ReadSeconds"]]
      dims    = { Service = local.producer, Environment = var.environment }
    },
    {
      title   = "Outbox lag (s)"
      stat    = "Maximum"
      metrics = [["RetainWise", "OutboxLagSeconds"]]
      dims    = { Service = local.producer, Environment = var.environment }
    },
    {
      title = "Messages waiting, in flight, and of quiet tenants"
      stat  = "Maximum"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible"],
        ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible"],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisibleInQuietGroups"],
      ]
      dims = { QueueName = aws_sqs_queue.predictions.name }
    },
    {
      title = "Messages parked"
      stat  = "Maximum"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible"],
        ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible"],
      ]
      dims = { QueueName = aws_sqs_queue.dead_letters.name }
    },
    {
      title   = "Workers"
      stat    = "Average"
      metrics = [["ECS/ContainerInsights", "RunningTaskCount"], ["ECS/ContainerInsights", "DesiredTaskCount"]]
      dims    = local.ecs_worker
    },
    {
      title   = "Workers' processor and memory (%)"
      stat    = "Average"
      metrics = [["AWS/ECS", "CPUUtilization"], ["AWS/ECS", "MemoryUtilization"]]
      dims    = local.ecs_worker
    },
    {
      title   = "Database: processor (%), connections"
      stat    = "Average"
      metrics = [["AWS/RDS", "CPUUtilization"], ["AWS/RDS", "DatabaseConnections"]]
      dims    = { DBInstanceIdentifier = aws_db_instance.main.identifier }
    },
  ]
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = local.name
  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type   = "alarm"
        x      = 0
        y      = 0
        width  = 24
        height = 3
        properties = {
          title  = "Alarms"
          alarms = [for name in sort(keys(local.alarms)) : aws_cloudwatch_metric_alarm.this[name].arn]
        }
      }],
      [
        for index, graph in local.graphs : {
          type   = "metric"
          x      = 12 * (index % 2)
          y      = 3 + 6 * floor(index / 2)
          width  = 12
          height = 6
          properties = {
            title   = graph.title
            region  = var.region
            view    = "timeSeries"
            stat    = graph.stat
            period  = 60
            metrics = [for metric in graph.metrics : concat(metric, flatten([for key, value in graph.dims : [key, value]]))]
          }
        }
      ],
    )
  })
}

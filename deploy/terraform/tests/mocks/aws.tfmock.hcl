# What AWS would make up, so that a check can tell one queue, secret or role from another.

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "111122223333"
  }
}

mock_data "aws_availability_zones" {
  defaults = {
    names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  }
}

mock_data "aws_region" {
  defaults = {
    region = "eu-central-1"
  }
}

override_resource {
  target = aws_sqs_queue.predictions
  values = {
    id  = "https://sqs.eu-central-1.amazonaws.com/111122223333/predictions"
    url = "https://sqs.eu-central-1.amazonaws.com/111122223333/predictions"
    arn = "arn:aws:sqs:eu-central-1:111122223333:predictions"
  }
}

override_resource {
  target = aws_sqs_queue.dead_letters
  values = {
    id  = "https://sqs.eu-central-1.amazonaws.com/111122223333/predictions-dlq"
    url = "https://sqs.eu-central-1.amazonaws.com/111122223333/predictions-dlq"
    arn = "arn:aws:sqs:eu-central-1:111122223333:predictions-dlq"
  }
}

override_resource {
  target = aws_s3_bucket.files
  values = {
    id     = "files"
    bucket = "files"
    arn    = "arn:aws:s3:::files"
  }
}

override_resource {
  target = aws_sns_topic.prediction_events
  values = {
    arn = "arn:aws:sns:eu-central-1:111122223333:prediction-events"
  }
}

override_resource {
  target = aws_sns_topic.alerts
  values = {
    arn = "arn:aws:sns:eu-central-1:111122223333:alerts"
  }
}

override_resource {
  target = aws_secretsmanager_secret.database_url["producer_api"]
  values = {
    arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:producer_api"
  }
}

override_resource {
  target = aws_secretsmanager_secret.database_url["consumer_worker"]
  values = {
    arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:consumer_worker"
  }
}

override_resource {
  target = aws_db_instance.main
  values = {
    address            = "database.internal"
    port               = 5432
    master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:master" }]
  }
}

override_resource {
  target = aws_ecs_cluster.main
  values = {
    arn = "arn:aws:ecs:eu-central-1:111122223333:cluster/main"
  }
}

override_resource {
  target = aws_lb.main
  values = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/main/1"
    arn_suffix = "app/main/1"
    dns_name   = "main.example.com"
  }
}

override_resource {
  target = aws_lb_target_group.producer
  values = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/api/1"
    arn_suffix = "targetgroup/api/1"
  }
}

override_resource {
  target = aws_ecr_repository.images["producer_api"]
  values = {
    arn            = "arn:aws:ecr:eu-central-1:111122223333:repository/producer_api"
    repository_url = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/producer_api"
  }
}

override_resource {
  target = aws_ecr_repository.images["consumer_worker"]
  values = {
    arn            = "arn:aws:ecr:eu-central-1:111122223333:repository/consumer_worker"
    repository_url = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/consumer_worker"
  }
}

override_resource {
  target = aws_ecr_repository.images["migrate"]
  values = {
    arn            = "arn:aws:ecr:eu-central-1:111122223333:repository/migrate"
    repository_url = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/migrate"
  }
}

override_resource {
  target = module.producer.module.task.aws_iam_role.task
  values = {
    arn = "arn:aws:iam::111122223333:role/producer-task"
    id  = "producer-task"
  }
}

override_resource {
  target = module.producer.module.task.aws_iam_role.execution
  values = {
    arn = "arn:aws:iam::111122223333:role/producer-execution"
    id  = "producer-execution"
  }
}

override_resource {
  target = module.producer.module.task.aws_ecs_task_definition.this
  values = {
    arn = "arn:aws:ecs:eu-central-1:111122223333:task-definition/producer:1"
  }
}

override_resource {
  target = module.producer.module.task.aws_cloudwatch_log_group.this
  values = {
    arn = "arn:aws:logs:eu-central-1:111122223333:log-group:/producer"
  }
}

override_resource {
  target = module.worker.module.task.aws_iam_role.task
  values = {
    arn = "arn:aws:iam::111122223333:role/worker-task"
    id  = "worker-task"
  }
}

override_resource {
  target = module.worker.module.task.aws_iam_role.execution
  values = {
    arn = "arn:aws:iam::111122223333:role/worker-execution"
    id  = "worker-execution"
  }
}

override_resource {
  target = module.worker.module.task.aws_ecs_task_definition.this
  values = {
    arn = "arn:aws:ecs:eu-central-1:111122223333:task-definition/worker:1"
  }
}

override_resource {
  target = module.worker.module.task.aws_cloudwatch_log_group.this
  values = {
    arn = "arn:aws:logs:eu-central-1:111122223333:log-group:/worker"
  }
}

override_resource {
  target = module.migrate.aws_iam_role.task
  values = {
    arn = "arn:aws:iam::111122223333:role/migrate-task"
    id  = "migrate-task"
  }
}

override_resource {
  target = module.migrate.aws_iam_role.execution
  values = {
    arn = "arn:aws:iam::111122223333:role/migrate-execution"
    id  = "migrate-execution"
  }
}

override_resource {
  target = module.migrate.aws_ecs_task_definition.this
  values = {
    arn = "arn:aws:ecs:eu-central-1:111122223333:task-definition/migrate:1"
  }
}

override_resource {
  target = module.migrate.aws_cloudwatch_log_group.this
  values = {
    arn = "arn:aws:logs:eu-central-1:111122223333:log-group:/migrate"
  }
}

override_resource {
  target = aws_security_group.load_balancer
  values = {
    id = "sg-load-balancer"
  }
}

override_resource {
  target = aws_security_group.producer
  values = {
    id = "sg-producer"
  }
}

override_resource {
  target = aws_security_group.worker
  values = {
    id = "sg-worker"
  }
}

override_resource {
  target = aws_security_group.database
  values = {
    id = "sg-database"
  }
}

override_resource {
  target = aws_cloudwatch_metric_alarm.this
  values = {
    arn = "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:one"
  }
}

override_resource {
  target = aws_appautoscaling_policy.worker_burst
  values = {
    arn = "arn:aws:autoscaling:eu-central-1:111122223333:scalingPolicy:burst"
  }
}

output "api_address" {
  description = "The load balancer's: point the API's name to it (CNAME or alias)"
  value       = aws_lb.main.dns_name
}

output "dashboard" {
  value = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${local.name}"
}

output "repositories" {
  description = "Push the images here"
  value       = { for name, repository in aws_ecr_repository.images : name => repository.repository_url }
}

output "deployer_role_arn" {
  description = "AWS_ROLE_ARN of the deployment workflow"
  value       = aws_iam_role.deployer.arn
}

output "cluster" {
  value = aws_ecs_cluster.main.name
}

output "services" {
  value = { (local.producer) = module.producer.name, (local.worker) = module.worker.name }
}

output "task_definitions" {
  value = {
    (local.producer) = module.producer.task_definition_arn
    (local.worker)   = module.worker.task_definition_arn
    migrate          = module.migrate.definition_arn
  }
}

output "task_network" {
  description = "For one-off tasks"
  value = merge(local.task_network, {
    security_groups = { (local.producer) = aws_security_group.producer.id, (local.worker) = aws_security_group.worker.id }
  })
}

output "log_groups" {
  value = {
    (local.producer) = module.producer.log_group_name
    (local.worker)   = module.worker.log_group_name
    migrate          = module.migrate.log_group_name
  }
}

output "queue_url" {
  value = aws_sqs_queue.predictions.url
}

output "dead_letter_queue_url" {
  value = aws_sqs_queue.dead_letters.url
}

output "bucket" {
  value = aws_s3_bucket.files.bucket
}

output "prediction_events_topic_arn" {
  description = "Other teams subscribe to this"
  value       = aws_sns_topic.prediction_events.arn
}

output "alerts_topic_arn" {
  value = aws_sns_topic.alerts.arn
}

output "database_address" {
  value = aws_db_instance.main.address
}

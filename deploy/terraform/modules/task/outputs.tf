output "definition_arn" {
  value = aws_ecs_task_definition.this.arn
}

output "log_group_name" {
  value = aws_cloudwatch_log_group.this.name
}

output "role_arns" {
  value = { task = aws_iam_role.task.arn, execution = aws_iam_role.execution.arn }
}

output "name" {
  value = aws_ecs_service.this.name
}

output "task_definition_arn" {
  value = module.task.definition_arn
}

output "log_group_name" {
  value = module.task.log_group_name
}

output "role_arns" {
  value = module.task.role_arns
}

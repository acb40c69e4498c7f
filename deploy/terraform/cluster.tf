resource "aws_ecs_cluster" "main" {
  name = local.name

  setting {
    name  = "containerInsights" # RunningTaskCount and DesiredTaskCount, for scaling and alarms
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "main" {
  cluster_name       = aws_ecs_cluster.main.name
  capacity_providers = ["FARGATE"]

  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }
}

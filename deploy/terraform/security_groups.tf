# Who may talk to whom: the internet to the load balancer, it to the API, the tasks to the database.

resource "aws_security_group" "load_balancer" {
  name        = "${local.name}-load-balancer"
  description = "The API's load balancer"
  vpc_id      = aws_vpc.main.id
}

resource "aws_security_group" "producer" {
  name        = "${local.name}-producer-api"
  description = "The API's tasks"
  vpc_id      = aws_vpc.main.id
}

resource "aws_security_group" "worker" {
  name        = "${local.name}-consumer-worker"
  description = "The workers and the one-off tasks"
  vpc_id      = aws_vpc.main.id
}

resource "aws_security_group" "database" {
  name        = "${local.name}-database"
  description = "The database"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  for_each          = { https = 443, redirect = 80 }
  description       = "Clients of the API"
  security_group_id = aws_security_group.load_balancer.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  description                  = "The API"
  security_group_id            = aws_security_group.load_balancer.id
  referenced_security_group_id = aws_security_group.producer.id
  ip_protocol                  = "tcp"
  from_port                    = local.producer_port
  to_port                      = local.producer_port
}

resource "aws_vpc_security_group_ingress_rule" "producer" {
  description                  = "The load balancer"
  security_group_id            = aws_security_group.producer.id
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.producer_port
  to_port                      = local.producer_port
}

resource "aws_vpc_security_group_egress_rule" "tasks_https" {
  for_each          = { producer = aws_security_group.producer.id, worker = aws_security_group.worker.id }
  description       = "AWS, and the issuer's keys"
  security_group_id = each.value
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "tasks_database" {
  for_each                     = { producer = aws_security_group.producer.id, worker = aws_security_group.worker.id }
  description                  = "The database"
  security_group_id            = each.value
  referenced_security_group_id = aws_security_group.database.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each                     = { producer = aws_security_group.producer.id, worker = aws_security_group.worker.id }
  description                  = "The tasks"
  security_group_id            = aws_security_group.database.id
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

variable "name" {
  description = "Of the service, its task definition, roles and log"
  type        = string
}

variable "cluster_arn" {
  type = string
}

variable "gate" {
  description = "The service changes after this: migration and checks of the new definitions (gate.tf)"
  type        = string
}

variable "min_tasks" {
  description = "Started at first; later the scaling decides"
  type        = number
}

variable "deployment_maximum_percent" {
  description = "How many tasks may run during a deployment; each has connections to the database"
  type        = number
  default     = 200
}

variable "network" {
  type = object({ subnets = list(string), assign_public_ip = bool })
}

variable "security_group_id" {
  type = string
}

variable "target_group_arn" {
  description = "Of the load balancer; none if null"
  type        = string
  default     = null
}

variable "rollback_alarm_names" {
  description = "Alarms that undo a deployment"
  type        = list(string)
}

# The rest is described in ../task/variables.tf.

variable "image" {
  type = string
}

variable "repository_arn" {
  type = string
}

variable "policy" {
  type = string
}

variable "environment" {
  type = map(string)
}

variable "secrets" {
  type = map(string)
}

variable "cpu" {
  type = number
}

variable "memory_mib" {
  type = number
}

variable "ephemeral_storage_gib" {
  type    = number
  default = 21
}

variable "writable_folders" {
  type    = map(string)
  default = { tmp = "/tmp" }
}

variable "port" {
  type    = number
  default = null
}

variable "liveness_port" {
  type = number
}

variable "stop_timeout_seconds" {
  type = number
}

variable "log_retention_days" {
  type = number
}

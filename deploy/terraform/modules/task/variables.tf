variable "name" {
  description = "Of the family, the roles and the log"
  type        = string
}

variable "image" {
  description = "By digest: what runs is what was tested"
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Give the image by digest (…@sha256:…): a tag can be moved."
  }
}

variable "repository_arn" {
  description = "The ECR repository that the image is pulled from"
  type        = string
}

variable "command" {
  description = "The image's own if null"
  type        = list(string)
  default     = null
}

variable "policy" {
  description = "The program's permissions, as JSON (deploy/policies)"
  type        = string
}

variable "environment" {
  description = "Settings that are no secrets"
  type        = map(string)
}

variable "secrets" {
  description = "Settings that are: each with the ARN of its secret"
  type        = map(string)
}

variable "cpu" {
  description = "1024 are one vCPU"
  type        = number
}

variable "memory_mib" {
  type = number
}

variable "ephemeral_storage_gib" {
  description = "21 to 200; the image takes about 2 of it"
  type        = number
  default     = 21
}

variable "writable_folders" {
  description = "A volume's name and its path; all else is read-only"
  type        = map(string)
  default     = { tmp = "/tmp" }
}

variable "port" {
  description = "That the load balancer sends to; none if null"
  type        = number
  default     = null
}

variable "liveness_port" {
  description = "That answers /livez; no check if null"
  type        = number
  default     = null
}

variable "stop_timeout_seconds" {
  description = "From SIGTERM to SIGKILL; Fargate allows up to 120"
  type        = number
  default     = 30
}

variable "log_retention_days" {
  type = number
}

variable "environment" {
  description = "Part of every name; one state for each"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "The environment is 2 to 12 small letters and digits: load balancers allow 32 characters."
  }
}

variable "region" {
  type = string
}

variable "image_digests" {
  description = "What to run: for producer_api, consumer_worker and migrate, the digest that the build pushed"
  type        = map(string)

  validation {
    condition = (
      toset(keys(var.image_digests)) == toset(["producer_api", "consumer_worker", "migrate"]) &&
      alltrue([for digest in values(var.image_digests) : can(regex("^sha256:[0-9a-f]{64}$", digest))])
    )
    error_message = "Give a digest (sha256:…) for each of producer_api, consumer_worker and migrate."
  }
}

variable "issuer" {
  description = "Who signs the tokens of the API's callers"
  type        = object({ issuer = string, audience = string, jwks_url = string })

  validation {
    condition     = startswith(var.issuer.jwks_url, "https://")
    error_message = "Keys that are fetched without TLS are anyone's."
  }
}

variable "certificate_arn" {
  description = "Of the API's name, in ACM"
  type        = string
}

variable "web_acl_arn" {
  description = "A WAF for the load balancer; none if null"
  type        = string
  default     = null
}

variable "cors_allowed_origins" {
  description = "Pages that may call the API"
  type        = list(string)
  default     = []
}

variable "event_subscriber_accounts" {
  description = "AWS accounts of other teams that may subscribe queues to the events"
  type        = list(string)
  default     = []
}

variable "enable_sqs" {
  description = "false pauses sending: uploads are accepted, and their messages wait in the outbox"
  type        = bool
  default     = true
}

variable "max_upload_bytes" {
  type    = number
  default = 1073741824
}

variable "visibility_timeout_seconds" {
  description = "Of the queue and of the worker, which are the same"
  type        = number
  default     = 45
}

variable "producer" {
  description = "Memory: 35 MB for each concurrent upload, and 500"
  type = object({
    cpu                    = number
    memory_mib             = number
    min_tasks              = number
    max_tasks              = number
    max_concurrent_uploads = number
  })
}

variable "worker" {
  type = object({
    cpu                     = number
    memory_mib              = number
    min_tasks               = number
    max_tasks               = number
    max_concurrent_messages = number
  })
}

variable "database" {
  type = object({
    version         = string
    instance_class  = string
    storage_gib     = number
    multi_az        = bool
    backup_days     = number
    max_connections = number
  })
}

variable "vpc_cidr" {
  type    = string
  default = "10.20.0.0/16"
}

variable "zones" {
  type    = number
  default = 2

  validation {
    condition     = var.zones >= 2 && var.zones <= 4
    error_message = "Two to four availability zones: the load balancer and the database need two."
  }
}

variable "nat" {
  description = "true: tasks in private subnets behind one NAT gateway, which costs about 35 USD a month and by the GB"
  type        = bool
  default     = false
}

variable "log_level" {
  type    = string
  default = "INFO"
}

variable "log_retention_days" {
  type    = number
  default = 400
}

variable "alert_emails" {
  description = "Each confirms by mail once; better, subscribe your paging service to the topic"
  type        = list(string)
}

variable "monthly_budget_usd" {
  type = number
}

variable "state_bucket" {
  description = "Of this state: the deployer reads and writes it"
  type        = string
}

variable "github" {
  description = "The repository that may deploy; create_provider in one environment of each account"
  type        = object({ repository = string, create_provider = bool })
}

variable "gate_command" {
  description = "Runs the tasks of the gate; needs python3 and the AWS command line"
  type        = string
  default     = "python3 gate.py"
}

terraform {
  required_version = ">= 1.11" # for the lock file of the S3 backend

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.62"
    }
  }

  # The bucket and the key are given at init: -backend-config=env/prod.s3.tfbackend
  backend "s3" {
    use_lockfile = true
    encrypt      = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project     = "retainwise"
      Environment = var.environment
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_availability_zones" "available" {
  state = "available"
}

locals {
  name       = "retainwise-${var.environment}"
  account_id = data.aws_caller_identity.current.account_id
  zones      = slice(data.aws_availability_zones.available.names, 0, var.zones)

  # What the services call themselves in their logs and metrics.
  producer = "producer_api"
  worker   = "consumer_worker"
}

resource "aws_ecr_repository" "images" {
  for_each             = toset([local.producer, local.worker, "migrate"])
  name                 = "${local.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "images" {
  for_each   = aws_ecr_repository.images
  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep the last 50 images: a rollback goes back a few releases"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 50 }
      action       = { type = "expire" }
    }]
  })
}

locals {
  images = { for name, repository in aws_ecr_repository.images : name => "${repository.repository_url}@${var.image_digests[name]}" }
}

# The role that the deployment workflow takes: no key to keep, and no other repository, branch or environment.

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.github.create_provider ? 1 : 0
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "deployer" {
  name                 = "${local.name}-deployer"
  max_session_duration = 3600
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = "arn:aws:iam::${local.account_id}:oidc-provider/token.actions.githubusercontent.com" }
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = "repo:${var.github.repository}:environment:${var.environment}"
        }
      }
    }]
  })

  depends_on = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_policy" "deployer" {
  name        = "${local.name}-deployer"
  description = "What terraform apply of this folder needs, on what is named after the environment"
  policy = templatefile("${path.module}/policies/deployer.json", {
    name       = local.name
    account_id = local.account_id
    region     = var.region
    state      = "arn:aws:s3:::${var.state_bucket}"
  })
}

resource "aws_iam_role_policy_attachment" "deployer" {
  role       = aws_iam_role.deployer.name
  policy_arn = aws_iam_policy.deployer.arn
}

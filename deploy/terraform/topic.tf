# Events for other teams, and alerts for operators: two topics, since they have different readers.

resource "aws_sns_topic" "prediction_events" {
  name              = "${local.name}-prediction-events"
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_sns_topic_policy" "prediction_events" {
  arn = aws_sns_topic.prediction_events.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.prediction_events.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      length(var.event_subscriber_accounts) == 0 ? [] : [{
        Sid       = "OtherTeamsSubscribe"
        Effect    = "Allow"
        Principal = { AWS = [for account in var.event_subscriber_accounts : "arn:aws:iam::${account}:root"] }
        Action    = ["sns:Subscribe", "sns:GetTopicAttributes"]
        Resource  = aws_sns_topic.prediction_events.arn
        Condition = { StringEquals = { "sns:Protocol" = "sqs" } }
      }],
    )
  })
}

# Not encrypted with the account's default key, which CloudWatch and Budgets may not use: an alert that cannot be
# delivered is worse than one that says which queue is slow.
resource "aws_sns_topic" "alerts" {
  name = "${local.name}-alerts"
}

resource "aws_sns_topic_policy" "alerts" {
  arn = aws_sns_topic.alerts.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsAndBudget"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alerts.arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
      {
        Sid       = "Events"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" } # EventBridge does not meet conditions of a topic's policy
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alerts.arn
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "alerts" {
  for_each  = toset(var.alert_emails)
  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.value
}

# What may not be planned at all.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  image_digests = {
    producer_api    = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    consumer_worker = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    migrate         = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}

run "image_by_tag_is_refused" {
  command = plan

  variables {
    image_digests = { producer_api = "latest", consumer_worker = "latest", migrate = "latest" }
  }
  expect_failures = [var.image_digests]
}

run "keys_without_tls_are_refused" {
  command = plan

  variables {
    issuer = { issuer = "https://login.example.com/", audience = "api", jwks_url = "http://login.example.com/keys" }
  }
  expect_failures = [var.issuer]
}

run "single_zone_is_refused" {
  command = plan

  variables {
    zones = 1
  }
  expect_failures = [var.zones]
}

run "name_too_long_for_load_balancer_is_refused" {
  command = plan

  variables {
    environment = "pre-production"
  }
  expect_failures = [var.environment]
}

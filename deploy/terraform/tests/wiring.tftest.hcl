# Everything with its values resolved, as deploy/checks reads it: `terraform test -json -verbose` prints the plan.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

run "resolved" {
  command = plan

  variables {
    image_digests = {
      producer_api    = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
      consumer_worker = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
      migrate         = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
    }
  }
}

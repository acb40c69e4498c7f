# Applied, since a plan runs neither the gate nor the services' postconditions.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "services_run_the_definitions_just_made" {
  variables {
    gate_command = "true"
    nat          = true
    image_digests = {
      producer_api    = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
      consumer_worker = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
      migrate         = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
    }
  }

  assert {
    condition     = output.task_definitions.producer_api == "arn:aws:ecs:eu-central-1:111122223333:task-definition/producer:1"
    error_message = "The API's service must run the API's task definition."
  }
  assert {
    condition     = length(terraform_data.gate.triggers_replace) == 3
    error_message = "The gate must run for each new migration, API and worker."
  }
  assert {
    condition     = output.task_network.subnets == aws_subnet.private[*].id && !output.task_network.assign_public_ip
    error_message = "With nat, tasks must run in private subnets without public addresses."
  }
}

"""The README's example runs as it stands there."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

import consumer_worker.sqs

pytestmark = pytest.mark.asyncio(loop_scope="function", loop_factories=["real"])

README = Path(consumer_worker.sqs.__file__).with_name("README.md")


async def test_example_handles_parks_and_drains(broker, client, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    urls = [
        (await client.create_queue(QueueName=name))["QueueUrl"] for name in ("greetings", "greetings-dlq")
    ]
    for body in ("hello there", "good night"):
        await client.send_message(QueueUrl=urls[0], MessageBody=body)
    loopback = {
        "AWS_ENDPOINT_URL_SQS": broker.address,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "example.py",
        *urls,
        cwd=tmp_path,
        env=os.environ | loopback,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            while broker.queues["greetings"].stats.deleted < 2 and process.returncode is None:
                await asyncio.sleep(0.05)
            if process.returncode is None:
                process.terminate()
            ended = asyncio.create_task(process.communicate())
            while not ended.done():  # a late message ends the open poll, which waits up to 20 s for one
                await client.send_message(QueueUrl=urls[0], MessageBody="hello again")
                await asyncio.wait((ended,), timeout=0.2)
            output, _ = await ended
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    assert broker.queues["greetings"].stats.in_flight == 0
    assert b"hello there\n" in output
    assert b"good night\n" not in output
    received = await client.receive_message(QueueUrl=urls[1], MessageAttributeNames=["All"])
    (parked,) = received["Messages"]
    assert parked["Body"] == "good night"
    assert parked["MessageAttributes"]["DeadLetterReason"]["StringValue"] == "not a greeting"

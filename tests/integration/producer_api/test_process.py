"""The API as a process: it starts, refuses to start, is killed and stops."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from producer_api.errors import StartRefused
from producer_api.resources import check_resources
from producer_api.settings import Settings
from retainwise_contracts.codec import decode
from retainwise_contracts.logs import StartupEvent


@asynccontextmanager
async def aws_proxy(endpoint_url: str, answer: Callable[[str], web.Response | None]):
    """Proxy the emulator; `answer` may answer an action itself. Yields the URL and the actions seen."""
    seen: list[str] = []

    async def forward(request: web.Request) -> web.StreamResponse:
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        seen.append(action)
        own = answer(action)
        if own is not None:
            return own
        if action == "SendMessageBatch":
            await asyncio.Event().wait()  # never answered: the moment to kill the sender
        url = endpoint_url + request.path_qs
        async with (
            aiohttp.ClientSession() as http,
            http.request(
                request.method, url, headers=request.headers, data=await request.read()
            ) as forwarded,
        ):
            return web.Response(
                status=forwarded.status,
                body=await forwarded.read(),
                headers={"Content-Type": forwarded.headers["Content-Type"]},
            )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def test_next_process_sends_what_a_killed_one_committed(
    start_process, aws, issuer, customers, owner, sqs
):
    headers = {"Authorization": f"Bearer {issuer.mint('acme')}", "Content-Type": "text/csv"}
    async with (
        aws_proxy(aws.endpoint_url, lambda action: None) as (url, seen),
        start_process(AWS_ENDPOINT_URL_SQS=url) as api,
        aiohttp.ClientSession() as http,
    ):
        port = (await api.line("startup_complete"))["port"]
        predictions = f"http://127.0.0.1:{port}/v1/predictions"
        async with http.post(predictions, data=customers, headers=headers) as response:
            assert response.status == 202
            prediction = await response.json()
        async with asyncio.timeout(20):
            while "SendMessageBatch" not in seen:
                await asyncio.sleep(0.02)
        api.process.kill()
        assert await api.ended() == -9
    assert await owner.fetchval("select sent_at is null and attempts = 0 from outbox")

    async with start_process() as api:
        await api.line("message_sent")
        answer = await sqs.receive_message(QueueUrl=aws.queue_url, WaitTimeSeconds=5)
        (message,) = answer["Messages"]
        assert str(decode(message["Body"]).data.prediction_id) == prediction["prediction_id"]
        api.process.terminate()
        assert await api.ended() == 0


async def test_upload_finishes_after_sigterm(start_process, issuer, customers):
    headers = {"Authorization": f"Bearer {issuer.mint('acme')}", "Content-Type": "text/csv"}
    stopped = asyncio.Event()

    async def slowly():
        yield customers[:60]
        await stopped.wait()
        yield customers[60:]

    async with start_process() as api, aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
        started = await api.line("startup_complete")
        url = f"http://127.0.0.1:{started['port']}"
        admin_url = f"http://127.0.0.1:{started['admin_port']}"

        async def upload():
            async with http.post(f"{url}/v1/predictions", data=slowly(), headers=headers) as response:
                return response.status, await response.json()

        uploading = tasks.create_task(upload())
        metric = "retainwise_api_uploads_under_way 1.0"
        async with asyncio.timeout(20):
            while True:
                async with http.get(f"{admin_url}/metrics") as response:
                    if metric in await response.text():
                        break
        api.process.terminate()
        await api.line("signal_received")
        async with http.get(f"{url}/readyz") as response:
            assert response.status == 503
            assert await response.json() == {"state": "failed"}
        async with http.get(f"{admin_url}/readyz") as response:
            assert "shutting down" in await response.text()
        async with http.post(f"{url}/v1/predictions", data=customers, headers=headers) as response:
            assert response.status == 503
            assert (await response.json(content_type=None))["code"] == "shutting_down"
        stopped.set()
        status, _ = await uploading
        assert status == 202
        assert await api.ended() == 0
    events = [line["event"] for line in api.lines]
    assert [event for event in events if event in set(StartupEvent)][:6] == [
        "model_loaded",
        "database_initialized",
        "s3_client_initialized",
        "sqs_client_initialized",
        "sns_client_initialized",
        "jwt_verifier_initialized",
    ]
    assert events[-1] == "api_stopped"
    answered = next(
        line for line in api.lines if line["event"] == "request_answered" and line["status"] == 202
    )
    assert answered["tenant_id"] == "acme"
    assert answered["service"] == "producer_api"


async def test_check_opens_every_resource_and_exits(start_process, issuer):
    async with start_process("check") as api:
        assert await api.ended() == 0
    assert api.lines[-1]["event"] == "check_passed"
    async with start_process("check", JWKS_URL=f"{issuer.issuer}/nowhere") as api:
        assert await api.ended() == 1
    assert api.lines[-1]["event"] == "startup_refused"
    assert "JWKS_URL: no keys from" in str(api.lines[-1]["reason"])


async def test_start_is_refused_when_something_is_missing(
    environment, unused_port, owner, subtests, monkeypatch
):
    dead = f"http://127.0.0.1:{unused_port()}"
    refusals = {
        "DEFAULT_MODEL: no model 'x@1.0.0'": {"DEFAULT_MODEL": "x@1.0.0"},
        "DATABASE_URL: the database at 127.0.0.1": {
            "DATABASE_URL": f"postgresql://a:secret@127.0.0.1:{unused_port()}/x"
        },
        "s3:ListBucket on no-such-bucket failed": {"BUCKET_NAME": "no-such-bucket"},
        "sqs:GetQueueAttributes on .*-not failed": {
            "PREDICTIONS_QUEUE_URL": environment["PREDICTIONS_QUEUE_URL"] + "-not"
        },
        "sns:GetTopicAttributes on .*-not failed": {
            "PREDICTION_EVENTS_TOPIC_ARN": environment["PREDICTION_EVENTS_TOPIC_ARN"] + "-not"
        },
        f"JWKS_URL: no keys from {dead}": {"JWKS_URL": dead},
    }
    for reason, variables in refusals.items():
        with subtests.test(reason):
            with pytest.raises(StartRefused, match=reason) as refused:
                await check_resources(settings(environment | variables))
            assert "secret" not in str(refused.value)
    with subtests.test("denied"):
        denied = web.Response(
            status=403,
            body=b'{"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "no"}',
            content_type="application/x-amz-json-1.0",
        )
        async with aws_proxy(dead, lambda action: denied) as (url, _):
            with monkeypatch.context() as patched:
                patched.setenv("AWS_ENDPOINT_URL_SQS", url)
                with pytest.raises(StartRefused, match=r"access denied: .* needs sqs:GetQueueAttributes on "):
                    await check_resources(settings(environment))
    with subtests.test("schema"):
        await owner.execute("update alembic_version set version_num = '0001'")
        with pytest.raises(StartRefused, match="is at revision 0001, this release needs 0003"):
            await check_resources(settings(environment))
        await owner.execute("drop table alembic_version")
        with pytest.raises(StartRefused, match="has no readable schema: run the migrations"):
            await check_resources(settings(environment))


def settings(variables: dict[str, str]) -> Settings:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        return Settings()

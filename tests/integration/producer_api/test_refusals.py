"""Every bad input has its own code and status, and leaves nothing behind."""

import json

import aiohttp
from yarl import URL

CSV = {"Content-Type": "text/csv"}
NO_ROWS = b"customerID,tenure,Contract,InternetService\n"


async def assert_nothing_is_left(owner, s3, aws):
    assert await owner.fetchval("select count(*) from uploads") == 0
    assert await owner.fetchval("select count(*) from predictions") == 0
    assert await owner.fetchval("select count(*) from outbox") == 0
    assert "Contents" not in await s3.list_objects_v2(Bucket=aws.bucket)
    assert not (await s3.list_multipart_uploads(Bucket=aws.bucket)).get("Uploads")


def assert_problem(answer, status, code):
    got, problem = answer
    assert (got, problem["status"], problem["code"]) == (status, status, code), problem
    assert problem["type"] == f"/docs/problems/{code}"
    assert all(problem[member] for member in ("title", "detail", "instance", "request_id"))
    return problem


FILES = [
    (b"", 422, "empty_file"),
    (b" \r\n\r\n", 422, "empty_file"),
    (b"PK\x03\x04 a workbook", 422, "not_a_csv"),
    (b'{"customers": []}', 422, "not_a_csv"),
    (b"dear all,\nplease find the customers below\n", 422, "not_a_csv"),
    (NO_ROWS, 422, "no_rows"),
    (b"\xff\xfe\x00\x00c\x00\x00\x00", 422, "unreadable_encoding"),
    (b",".join(b"c%d" % n for n in range(1001)) + b"\n" + b"1," * 1000 + b"1\n", 422, "too_many_columns"),
    (b"x" * 300_000, 422, "line_too_long"),
    (b"customerID,tenur\n1,2\n", 422, "required_columns_missing"),
]


async def test_unreadable_file_is_refused(api, owner, s3, aws, subtests):
    for body, status, code in FILES:
        with subtests.test(code, body=body[:30]):
            assert_problem(await api.post(body), status, code)
            form = aiohttp.FormData()
            form.add_field("file", body, filename="customers.csv", content_type="text/csv")
            async with api.http.post("/v1/predictions", data=form) as response:
                assert response.content_type == "application/problem+json"
                assert_problem((response.status, await response.json(content_type=None)), status, code)
    _, problem = await api.post(b"guest,nights,room\n1,2,x\n")
    assert "for telecom customers" in problem["detail"]
    _, problem = await api.post(b"customerID,tenur,Contract\n1,2,x\n")
    assert "InternetService" in problem["missing"]
    assert set(problem["closest"]) == set(problem["missing"])
    await assert_nothing_is_left(owner, s3, aws)


PARAMETERS = [
    ({"mapping": "tenure"}, "invalid_mapping"),
    ({"mapping": "[]"}, "invalid_mapping"),
    ({"mapping": '{"tenure": 1}'}, "invalid_mapping"),
    ({"mapping": '{"age": "tenure"}'}, "invalid_mapping"),
    ({"mapping": '{"tenure": "no such header"}'}, "invalid_mapping"),
    ({"model": "telco-churn@9.9.9"}, "unknown_model"),
    ({"model": "../../etc/passwd"}, "unknown_model"),
    ({"reasons": "6"}, "invalid_request"),
    ({"reasons": "-1"}, "invalid_request"),
    ({"reasons": "many"}, "invalid_request"),
    ({"reasons": "00000000000000000001"}, "invalid_request"),
    ({"reasons": "٣"}, "invalid_request"),
    ({"values": "[]"}, "invalid_request"),
    ({"values": "{"}, "invalid_request"),
    ({"metadata": '"text"'}, "invalid_request"),
    ({"label": "\t"}, "invalid_request"),
    ({"customer_value_period": "week"}, "invalid_request"),
    ({"deadline": "tomorrow"}, "invalid_request"),
    ({"deadline": "2999-01-01T00:00:00"}, "invalid_request"),
    ({"deadline": "2020-01-01T00:00:00Z"}, "invalid_request"),
    ({"deadline": "9999-12-31T23:59:59-12:00"}, "invalid_request"),
    ({"confirm": "tenure,shoe size"}, "invalid_request"),
    ({"confirm": " , "}, "invalid_request"),
    ({"modle": "telco-churn@1.0.0"}, "invalid_request"),
]


async def test_invalid_parameter_is_refused(api, customers, owner, s3, aws, subtests):
    for parameters, code in PARAMETERS:
        with subtests.test(code, parameters=parameters):
            assert_problem(await api.post(customers, params=parameters), 422, code)
            form = aiohttp.FormData()
            form.add_field("file", customers, filename="customers.csv", content_type="text/csv")
            form.add_fields(*parameters.items())
            async with api.http.post("/v1/predictions", data=form) as response:
                assert_problem((response.status, await response.json(content_type=None)), 422, code)
    _, problem = await api.post(customers, params={"model": "x"})
    assert problem["installed"] == ["telco-churn@1.0.0"]
    twice = URL("/v1/predictions?reasons=1&reasons=2")
    async with api.http.post(twice, data=customers, headers=CSV) as response:
        assert_problem((response.status, await response.json(content_type=None)), 422, "invalid_request")
    await assert_nothing_is_left(owner, s3, aws)


HEADERS = [
    ({"Content-Type": "application/json"}, 400, "malformed_json"),
    ({"Content-Type": "application/xml"}, 415, "media_type_unsupported"),
    ({"Content-Type": "text/csv", "Content-Encoding": "gzip"}, 415, "content_encoding_unsupported"),
    ({"Content-Type": "multipart/form-data"}, 400, "malformed_multipart"),
    ({"Content-Type": "multipart/form-data; boundary=" + "x" * 80}, 400, "malformed_multipart"),
    ({"Content-Type": "multipart/form-data; boundary=another"}, 400, "malformed_multipart"),
]


async def test_unsupported_body_is_refused(api, customers, owner, s3, aws, subtests):
    for headers, status, code in HEADERS:
        with subtests.test(code, headers=headers):
            assert_problem(await api.post(customers, headers=dict(headers)), status, code)
    await assert_nothing_is_left(owner, s3, aws)


def form_body(*parts: str) -> bytes:
    return ("".join(f"--B\r\n{part}\r\n" for part in parts)).encode()


FILE = 'Content-Disposition: form-data; name="file"; filename="c.csv"\r\n\r\nid,tenure\n1,2\n'


FORMS = [
    (
        form_body('Content-Disposition: form-data; name="reasons"\r\n\r\n1') + b"--B--\r\n",
        400,
        "malformed_multipart",
    ),
    (form_body(FILE, FILE) + b"--B--\r\n", 400, "malformed_multipart"),
    (form_body(FILE)[:-4], 400, "malformed_multipart"),  # no closing boundary: the file may be cut off
    (form_body(FILE), 400, "malformed_multipart"),
    (b"--B--\r\n", 400, "malformed_multipart"),
    (
        b'--B\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n' + form_body(FILE) + b"--B--\r\n",
        422,
        "invalid_request",
    ),
    (form_body("Content-Disposition: form-data\r\n\r\n1") + b"--B--\r\n", 400, "malformed_multipart"),
    (
        form_body("Content-Type: multipart/mixed; boundary=C\r\n\r\n--C--\r\n") + b"--B--\r\n",
        400,
        "malformed_multipart",
    ),
    (
        form_body("Content-Encoding: gzip\r\n" + FILE) + b"--B--\r\n",
        415,
        "content_encoding_unsupported",
    ),
    (
        form_body("Content-Transfer-Encoding: base64\r\n" + FILE) + b"--B--\r\n",
        415,
        "content_encoding_unsupported",
    ),
    (
        form_body('Content-Disposition: form-data; name="mapping"\r\n\r\n' + "x" * 20_000) + b"--B--\r\n",
        422,
        "invalid_request",
    ),
    (form_body(FILE.replace("c.csv", "c" * 5_000)) + b"--B--\r\n", 400, "malformed_multipart"),
    (form_body(FILE.replace("c.csv", "c\0.csv")) + b"--B--\r\n", 400, "malformed_multipart"),
    (form_body("X: 1\r\n" * 20 + FILE) + b"--B--\r\n", 400, "malformed_multipart"),
]


async def test_malformed_form_is_refused(api, owner, s3, aws, subtests):
    for body, status, code in FORMS:
        with subtests.test(code, body=body):
            headers = {"Content-Type": "multipart/form-data; boundary=B"}
            assert_problem(await api.post(body, headers=headers), status, code)
    await assert_nothing_is_left(owner, s3, aws)


async def test_too_large_file_is_refused(start_api, customers, owner, s3, aws):
    rows = customers + b"a-3,1,Two year,20,No\n" * 100

    async def in_chunks():
        for start in range(0, len(rows), 500):
            yield rows[start : start + 500]

    async with start_api(max_upload_bytes="1000") as api:
        for body in (rows, in_chunks()):  # its length announced, or not
            problem = assert_problem(await api.post(body), 413, "file_too_large")
            assert problem["max_bytes"] == 1000
        form = aiohttp.FormData()
        form.add_field("file", rows, filename="customers.csv")
        async with api.http.post("/v1/predictions", data=form) as response:
            assert_problem((response.status, await response.json(content_type=None)), 413, "file_too_large")
    await assert_nothing_is_left(owner, s3, aws)


ADDRESSES = [
    ("GET", "/v1/nothing", 404, "not_found"),
    ("GET", "/v1", 404, "not_found"),
    ("PUT", "/v1/models", 405, "method_not_allowed"),
    ("PUT", "/v1/predictions", 405, "method_not_allowed"),
]


async def test_unknown_path_or_method_is_refused(api, subtests):
    for method, path, status, code in ADDRESSES:
        with subtests.test(code, path=path):
            async with api.http.request(method, path, headers={"X-Request-Id": "mine-1"}) as response:
                problem = assert_problem(
                    (response.status, await response.json(content_type=None)), status, code
                )
                assert problem["request_id"] == response.headers["X-Request-Id"] == "mine-1"
                assert response.headers["Server"] == "retainwise"
                assert response.headers.get("Allow") == {404: None, 405: ALLOWED.get(path)}[status]
    forged = "a b" + "c" * 100
    async with api.http.get("/v1/models", headers={"X-Request-Id": forged}) as response:
        assert response.headers["X-Request-Id"] != forged


ALLOWED = {"/v1/models": "GET, HEAD", "/v1/predictions": "GET, HEAD, POST"}


async def test_internal_error_shows_no_detail(api, owner, customers):
    await owner.execute("revoke insert on uploads from retainwise_requests")
    problem = assert_problem(await api.post(customers), 500, "internal_error")
    assert "uploads" not in json.dumps(problem)


async def test_form_without_a_boundary_is_explained(api):
    problem = assert_problem(
        await api.post(b"x", headers={"Content-Type": "multipart/form-data"}), 400, "malformed_multipart"
    )
    assert "has no boundary" in problem["detail"]

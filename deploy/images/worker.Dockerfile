# The SQS consumer and the scoring. Build from the checkout:
#     docker build --file deploy/images/worker.Dockerfile .

ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /build
COPY deploy/environment.py deploy/bootstrap.lock deploy/
COPY deploy/images/build.lock deploy/images/worker.lock deploy/images/
RUN python deploy/environment.py /opt/build --lock deploy/images/build.lock \
 && python deploy/environment.py /opt/venv --lock deploy/images/worker.lock
COPY contracts contracts
COPY ml_models ml_models
COPY consumer_worker consumer_worker
WORKDIR /build/contracts
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /opt/wheels
WORKDIR /build/ml_models
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /opt/wheels
WORKDIR /build/consumer_worker
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /opt/wheels
WORKDIR /build
RUN python deploy/environment.py /opt/venv --wheels /opt/wheels \
 && /opt/venv/bin/python -m compileall -q /opt/venv/lib \
 && /opt/venv/bin/python -m pip uninstall --quiet --yes setuptools pip
# What RDS's certificates are verified with; TLS proves where it comes from, and the image's digest fixes it.
ADD https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /opt/database-ca.pem

FROM python:${PYTHON}
RUN groupadd --gid 10001 retainwise && useradd --uid 10001 --gid 10001 --no-create-home retainwise \
 && python -m pip uninstall --quiet --yes setuptools wheel pip
COPY --from=build --chmod=644 /opt/database-ca.pem /etc/retainwise/database-ca.pem
COPY --from=build /opt/venv /opt/venv

# On Fargate a folder that is a volume in the image keeps its owner, and so can be written to.
RUN mkdir /scratch && chown 10001:10001 /scratch
VOLUME ["/tmp", "/scratch"]
ENV SCRATCH_DIRECTORY=/scratch
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 10001:10001
EXPOSE 8081
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8081/livez', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "consumer_worker"]

# The migration as a one-off task: schema, logins, connection secrets. Build from the checkout:
#     docker build --file deploy/images/migrate.Dockerfile .

ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /build
COPY deploy/environment.py deploy/bootstrap.lock deploy/
COPY deploy/images/migrate.lock deploy/images/
RUN python deploy/environment.py /opt/venv --lock deploy/images/migrate.lock \
 && /opt/venv/bin/python -m compileall -q /opt/venv/lib \
 && /opt/venv/bin/python -m pip uninstall --quiet --yes setuptools pip
# What RDS's certificates are verified with; TLS proves where it comes from, and the image's digest fixes it.
ADD https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /opt/database-ca.pem

FROM python:${PYTHON}
RUN groupadd --gid 10001 retainwise && useradd --uid 10001 --gid 10001 --no-create-home retainwise \
 && python -m pip uninstall --quiet --yes setuptools wheel pip
COPY --from=build --chmod=644 /opt/database-ca.pem /etc/retainwise/database-ca.pem
COPY --from=build /opt/venv /opt/venv
COPY deploy/migrations /app/deploy/migrations

VOLUME ["/tmp"]
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "deploy.migrations"]

# The local stack with all its parts, for compose.yaml; nothing of it is deployed.

ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON}
RUN groupadd --gid 10001 retainwise && useradd --uid 10001 --gid 10001 --create-home retainwise \
 && mkdir --parents /retainwise/.local && chown --recursive 10001:10001 /retainwise
WORKDIR /retainwise
USER 10001:10001
COPY --chown=10001:10001 . .
RUN python deploy/environment.py .venv --lock requirements.lock \
      --editable ./contracts --editable ./ml_models --editable ./producer_api --editable ./consumer_worker
VOLUME ["/retainwise/.local"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT [".venv/bin/python", "-m", "deploy.local"]

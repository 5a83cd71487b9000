# One image for migrations, API and worker. The worker's torch speaks CUDA and runs on a CPU as well.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# /scratch belongs to the user, so that a volume mounted there does, too.
RUN useradd --create-home --uid 10001 distill && install -d -o distill -g distill /scratch
WORKDIR /app

COPY constraints.txt pyproject.toml README.md ./
# The dependencies in a layer of their own: changed sources do not fetch torch again.
RUN mkdir api worker core client migrations embedded \
    && pip install --constraint constraints.txt . \
    && pip uninstall --yes distill

COPY api api
COPY worker worker
COPY core core
COPY client client
COPY migrations migrations
COPY embedded embedded
RUN pip install --no-deps --constraint constraints.txt .

WORKDIR /home/distill
USER distill
ENV DISTILL_SCRATCH_FOLDER=/scratch DISTILL_HOST=0.0.0.0 DISTILL_LOG_FORMAT=json
EXPOSE 8321
CMD ["python", "-m", "api"]

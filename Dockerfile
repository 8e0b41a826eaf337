# syntax=docker/dockerfile:1
# docker build -t media-gateway .                       speech by eSpeak NG and by every remote provider
# docker build -t media-gateway --build-arg KOKORO=1 .  with Kokoro-82M on the processor (torch without CUDA)
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG KOKORO=0
# What the providers and features that need more are installed with; `pii` would bring spaCy along.
ARG EXTRAS=aws,google,guards,otel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN ["python", "-m", "venv", "/opt/venv"]
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE config.example.yaml ./
COPY gateway gateway
COPY providers providers
COPY engines engines
# The processor's torch first: PyPI's own would bring CUDA along.
RUN if [ "$KOKORO" = 1 ]; then \
        pip install --index-url https://download.pytorch.org/whl/cpu "$(grep -o '^torch==[^ ;]*' constraints.txt)" && \
        pip install --constraint constraints.txt ".[$EXTRAS,kokoro]"; \
    else \
        pip install --constraint constraints.txt ".[$EXTRAS]"; \
    fi

FROM python:${PYTHON}-slim
RUN groupadd --gid 10001 gateway && useradd --uid 10001 --gid gateway --create-home gateway \
    && install -d -o gateway -g gateway /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HF_HOME=/data/huggingface MEDIA_GATEWAY_DATA_DIR=/data/gateway
USER gateway
WORKDIR /data
EXPOSE 4000
VOLUME /data
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4000/livez', timeout=3)"]
# It listens on every address of the container, so it will not start without a key (MEDIA_GATEWAY_MASTER_KEY).
ENTRYPOINT ["media-gateway"]
CMD ["serve", "--host", "0.0.0.0", "--port", "4000"]

# docker build --target cpu -t unnoise .        docker run --rm -v "$PWD:/work" unnoise train photos --minutes 30
# docker build --target cuda -t unnoise:cuda .  docker run --rm --gpus all -v "$PWD:/work" unnoise:cuda train photos
FROM python:3.12.11-slim-bookworm AS base
RUN useradd --create-home --uid 1000 unnoise
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
ENV PIP_NO_CACHE_DIR=1 UNNOISE_CACHE=/home/unnoise/.cache/unnoise

# torch without CUDA is a tenth of the size; --build-arg TORCH_INDEX=URL names the index that has it (pytorch.org says
# which), without one the usual torch is installed.
FROM base AS cpu
ARG TORCH_INDEX=""
RUN pip install -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && pip install -c constraints.txt '.[studio]'
USER 1000
WORKDIR /work
ENTRYPOINT ["unnoise"]
CMD ["--help"]

FROM base AS cuda
RUN pip install -c constraints.txt '.[studio]'
USER 1000
WORKDIR /work
ENTRYPOINT ["unnoise"]
CMD ["--help"]

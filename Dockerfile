# talkinghead on the CPU. docs/install.md says how it is built and run, and what of that was tried.
#
#     docker build -t talkinghead .
#     docker run --rm --network none -v "$PWD:/work" talkinghead generate henrik --text "Good evening." -o out.mp4

ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build

# An index with CPU builds of torch, a quarter of the size of PyPI's, which bring CUDA. A mirror of it may be named.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=serve,sign

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN python -m venv /opt/talkinghead
ENV PATH=/opt/talkinghead/bin:$PATH

# They change less often than the sources. The versions are those of pyproject.toml.
RUN pip install torch==2.11.0 torchaudio==2.11.0 --index-url "${TORCH_INDEX}"

WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE NOTICE ./
COPY checkpoints checkpoints
COPY talkinghead talkinghead
# hadolint ignore=DL3013
RUN pip install ".[${EXTRAS}]"

# Nothing is downloaded later: models are fetched, kernels compiled, and a first frame is made.
ENV XDG_CACHE_HOME=/var/cache/talkinghead \
    NUMBA_CACHE_DIR=/var/cache/talkinghead/numba
RUN mkdir -p "${NUMBA_CACHE_DIR}" \
    && talkinghead models --fetch \
    && talkinghead doctor --warm \
    && chmod -R a+rwX /var/cache/talkinghead

FROM python:${PYTHON}-slim-bookworm

COPY --from=build /opt/talkinghead /opt/talkinghead
COPY --from=build /var/cache/talkinghead /var/cache/talkinghead

ENV PATH=/opt/talkinghead/bin:$PATH \
    XDG_CACHE_HOME=/var/cache/talkinghead \
    NUMBA_CACHE_DIR=/var/cache/talkinghead/numba \
    HF_HUB_OFFLINE=1

RUN useradd --create-home --uid 1000 talkinghead
USER 1000
WORKDIR /work
EXPOSE 8473
ENTRYPOINT ["talkinghead"]
CMD ["--help"]

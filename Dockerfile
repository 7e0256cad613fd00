# i2md on a CPU: docker build -t i2md . && docker run --rm -v "$PWD:/work" i2md view recordings
# With CUDA: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126, and docker run --gpus all ...
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheels .

FROM python:${PYTHON}-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir torch --index-url "${TORCH_INDEX}" \
    && pip install --no-cache-dir /wheels/*.whl \
    && rm -r /wheels \
    && useradd --create-home --uid 1000 i2md
USER i2md
WORKDIR /work
ENTRYPOINT ["i2md"]
CMD ["--help"]
